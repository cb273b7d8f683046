Puppet::Type.newtype(:mailman_list) do
  @doc = 'A mailing list of one of several sites.'

  ensurable

  newparam(:name, :namevar => true) { desc 'The list and its site: LIST@SITE.' }
  newparam(:admin) { desc 'The address of its administrator.' }
  newparam(:description) { desc 'Taken, and not set.' }
  newparam(:password) { desc 'Its password.' }
  newparam(:mailserver) { desc 'Its mail host.' }
  newparam(:webserver) { desc 'Its web host.' }
end
