# What Puppet itself makes of many manifests, in one process (a start of Puppet takes seconds).
#
# Standard input: one JSON object a line, {"code": text, "classes": [names to include]}, and
# "lint": true where puppet-lint is to be asked too.
# Standard output: one JSON object a line, in the same order:
#   "tokens": [[token, byte offset, value], ...] of Puppet's lexer; a string with interpolations
#             is one token without a value, and so is a heredoc; or "lex_error"
#   "syntax": null, or what `puppet parser validate` says
#   "lists":  [[type, title, {parameter: value}], ...] of the compiled catalog; or "compile_error"
#   "lint":   the kinds of warnings of puppet-lint, if it was asked

require 'json'
require 'puppet'

$stdin.set_encoding('UTF-8')
$stdout.set_encoding('UTF-8')
# Only answers go to standard output: puppet-lint prints there when one of its checks fails.
ANSWERS = $stdout.dup
$stdout.reopen($stderr)
Puppet.initialize_settings(['--vardir', '/tmp/puppet-judge', '--confdir', '/tmp/puppet-judge'])
Puppet::Util::Log.level = :crit

LISTS = %w[maillist mailman_list].freeze

# The type of the hosts with several sites belongs to a module; only its parameters matter here.
Puppet::Type.newtype(:mailman_list) do
  ensurable
  newparam(:name, :namevar => true)
  %w[admin password description webserver mailserver install].each { |name| newparam(name.to_sym) }
end

SITE = <<'MANIFEST'.freeze

define mailman::site($default_email_host = '', $default_url_host = '', $install_languages = []) { }
MANIFEST

def tokens(code)
  lexer = Puppet::Pops::Parser::Lexer2.new
  lexer.lex_string(code.dup, 'judged.pp')
  found = []
  depth = 0
  heredoc = false
  lexer.fullscan.each do |symbol, token|
    next unless symbol
    case symbol
    when :SUBLOCATE
      heredoc = true
    when :DQPRE
      found << ['STRING', token[:offset], nil] if depth.zero? && !heredoc
      depth += 1
    when :DQMID
      next
    when :DQPOST
      depth -= 1
      heredoc = false if depth.zero?
    when :STRING
      if depth.zero?
        found << ['STRING', token[:offset], token[:value]] unless heredoc
        heredoc = false
      end
    when :HEREDOC
      found << ['HEREDOC', token[:offset], nil]
    else
      value = token[:value]
      found << [symbol.to_s, token[:offset], value.is_a?(Regexp) ? nil : value.to_s] if depth.zero?
    end
  end
  found
end

def plain(value)
  case value
  when Array then value.map { |item| plain(item) }
  when Hash then value.map { |key, item| [key.to_s, plain(item)] }.to_h
  when String, Numeric, true, false, nil then value
  else value.to_s
  end
end

def compiled(code, classes)
  environment = Puppet::Node::Environment.create(:judge, [])
  Puppet[:code] = code + SITE + classes.map { |name| "include #{name}\n" }.join
  loaders = { environments: Puppet::Environments::Static.new(environment),
              current_environment: environment }
  Puppet.override(loaders, 'judge') do
    node = Puppet::Node.new('judge.example.org', environment: environment)
    catalog = Puppet::Parser::Compiler.compile(node)
    catalog.resources.select { |resource| LISTS.include?(resource.type.downcase) }.map do |resource|
      parameters = resource.to_hash.map { |name, value| [name.to_s, plain(value)] }.to_h
      [resource.type.downcase, resource.title, parameters]
    end
  end
end

def lint(code)
  require 'puppet-lint'
  checks = PuppetLint.new
  checks.code = code
  checks.run
  checks.problems.map { |problem| problem[:check].to_s }.uniq.sort
rescue StandardError, SystemExit => error
  ["unreadable: #{error.message}"] # puppet-lint has a lexer of its own
end

$stdin.each_line do |line|
  asked = JSON.parse(line)
  code = asked['code']
  answer = {}
  begin
    answer['tokens'] = tokens(code)
  rescue StandardError => error
    answer['lex_error'] = error.message
  end
  begin
    Puppet::Pops::Parser::EvaluatingParser.new.parse_string(code.dup, 'judged.pp')
    answer['syntax'] = nil
  rescue StandardError => error
    answer['syntax'] = error.message
  end
  begin
    answer['lists'] = compiled(code, asked['classes']) unless answer['syntax']
  rescue StandardError => error
    answer['compile_error'] = error.message
  end
  answer['lint'] = lint(code) if asked['lint']
  ANSWERS.puts JSON.generate(answer)
end
