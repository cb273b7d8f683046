# A site, for lists to require. Here it makes nothing: the sites are there.
define mailman::site(
  $default_email_host,
  $default_url_host,
  $install_languages = ['en']
) {
}
