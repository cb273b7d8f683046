Puppet::Type.type(:mailman_list).provide(:mailman) do
  desc "Has Mailman's own programs make and remove lists."

  commands :newlist => 'newlist', :rmlist => 'rmlist', :list_lists => 'list_lists'

  SITES = '/srv/mailman'.freeze

  def self.lists
    folders = Dir.glob(File.join(SITES, '*', 'lists')).map { |path| File.dirname(path) }
    folders.flat_map do |folder|
      ENV['MAILMAN_SITE_DIR'] = folder
      list_lists('--bare').split.map { |list| "#{list}@#{File.basename(folder)}" }
    end
  end

  def exists?
    self.class.lists.include?(resource[:name].downcase)
  end

  def create
    puts "create #{resource[:name]}"
    list = choose_site
    puts "Mailman install dir#{ENV['MAILMAN_SITE_DIR']}"
    hosts = { '--emailhost' => resource[:mailserver], '--urlhost' => resource[:webserver] }
    options = hosts.reject { |_, host| host.nil? }.to_a.flatten
    newlist(*options, list, resource[:admin], resource[:password])
    puts 'done'
  end

  def destroy
    puts 'destroy', resource[:name]
    rmlist(choose_site)
  end

  def choose_site
    list, site = resource[:name].split('@')
    ENV['MAILMAN_SITE_DIR'] = File.join(SITES, site)
    list
  end
end
