# Lay one site over an installation of Mailman 2 in Debian's layout: the one in /var/lib/mailman.
# Run as root in a container: docker exec -i CONTAINER sh -s < layouts/single.sh
set -eu

umask 022
[ -x /usr/lib/mailman/bin/withlist ] || { echo 'no Mailman in /usr/lib/mailman' >&2; exit 1; }
[ /usr/lib/mailman/Mailman/mm_cfg.py -ef /etc/mailman/mm_cfg.py ] ||
    { echo '/etc/mailman/mm_cfg.py is not what Mailman reads' >&2; exit 1; }

cat > /etc/mailman/mm_cfg.py <<'EOF'
# One site, in /var/lib/mailman.
from Mailman.Defaults import *

DEFAULT_EMAIL_HOST = 'lists.example.org'
DEFAULT_URL_HOST = 'lists.example.org'
DEFAULT_URL_PATTERN = 'http://%s/mailman/'
add_virtualhost(DEFAULT_URL_HOST, DEFAULT_EMAIL_HOST)

# Debian's is in /run, where its init script makes a folder for it.
PIDFILE = '/var/lib/mailman/data/master-qrunner.pid'

# Aliases are Puppet's.
MTA = None
EOF
chmod 644 /etc/mailman/mm_cfg.py

site=/var/lib/mailman
for folder in . archives archives/private archives/public data lists locks logs qfiles; do
    # locks and logs may be links, and /var/lock is emptied when a machine starts.
    folder=$(readlink -m "$site/$folder")
    mkdir -p "$folder"
    chown root:list "$folder"
    chmod 2775 "$folder"
done
