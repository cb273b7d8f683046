# == Class: openstack_project::lists
#
class openstack_project::lists(
  $listadmins = undef,
  $listpassword = '',
  $listdomain = 'lists.example.org',
) {

  maillist { 'openstack-announce':
    ensure      => present,
    admin       => 'admin@example.com',
    password    => $listpassword,
    description => 'Announcements about OpenStack',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }
}
