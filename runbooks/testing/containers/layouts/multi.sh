# Lay several sites over an installation of Mailman 2 in Debian's layout, chosen by MAILMAN_SITE_DIR.
# Run as root in a container: docker exec -i CONTAINER sh -s < layouts/multi.sh
# That makes /srv/mailman/openstack and /srv/mailman/zuul. For other sites add, behind sh -s, for
# each its folder, the domain that /etc/mailman/sites has, and the domain of its lists.
set -eu

[ $# -gt 0 ] || set -- \
    /srv/mailman/openstack lists.openstack.org lists.example.org \
    /srv/mailman/zuul lists.zuul-ci.org lists.example.org

umask 022
[ -x /usr/lib/mailman/bin/withlist ] || { echo 'no Mailman in /usr/lib/mailman' >&2; exit 1; }
[ /usr/lib/mailman/Mailman/mm_cfg.py -ef /etc/mailman/mm_cfg.py ] ||
    { echo '/etc/mailman/mm_cfg.py is not what Mailman reads' >&2; exit 1; }

rm -f /etc/mailman/sites
sites= domains=
while [ $# -gt 0 ]; do
    sites="$sites $1"
    domains="$domains'$1': '$3', "
    echo "$2: $1" >> /etc/mailman/sites
    shift 3
done
chmod 644 /etc/mailman/sites

echo "DOMAINS = {$domains}" > /etc/mailman/mm_cfg.py
cat >> /etc/mailman/mm_cfg.py <<'EOF'
# Several sites, one tree each: MAILMAN_SITE_DIR says which.
import os
import sys

from Mailman.Defaults import *

if 'MAILMAN_SITE_DIR' not in os.environ:
    print('Please set MAILMAN_SITE_DIR')
    sys.exit(0)

VAR_PREFIX = os.environ['MAILMAN_SITE_DIR']
LIST_DATA_DIR = os.path.join(VAR_PREFIX, 'lists')
LOCK_DIR = os.path.join(VAR_PREFIX, 'locks')
LOG_DIR = os.path.join(VAR_PREFIX, 'logs')
DATA_DIR = os.path.join(VAR_PREFIX, 'data')
SPAM_DIR = os.path.join(VAR_PREFIX, 'spam')
PIDFILE = os.path.join(DATA_DIR, 'master-qrunner.pid')
SITE_PW_FILE = os.path.join(DATA_DIR, 'adm.pw')
LISTCREATOR_PW_FILE = os.path.join(DATA_DIR, 'creator.pw')
PUBLIC_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, 'archives', 'public')
PRIVATE_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, 'archives', 'private')
QUEUE_DIR = os.path.join(VAR_PREFIX, 'qfiles')
INQUEUE_DIR = os.path.join(QUEUE_DIR, 'in')
OUTQUEUE_DIR = os.path.join(QUEUE_DIR, 'out')
CMDQUEUE_DIR = os.path.join(QUEUE_DIR, 'commands')
BOUNCEQUEUE_DIR = os.path.join(QUEUE_DIR, 'bounces')
NEWSQUEUE_DIR = os.path.join(QUEUE_DIR, 'news')
ARCHQUEUE_DIR = os.path.join(QUEUE_DIR, 'archive')
SHUNTQUEUE_DIR = os.path.join(QUEUE_DIR, 'shunt')
VIRGINQUEUE_DIR = os.path.join(QUEUE_DIR, 'virgin')
BADQUEUE_DIR = os.path.join(QUEUE_DIR, 'bad')
RETRYQUEUE_DIR = os.path.join(QUEUE_DIR, 'retry')
MAILDIR_DIR = os.path.join(QUEUE_DIR, 'maildir')

DEFAULT_EMAIL_HOST = DEFAULT_URL_HOST = DOMAINS.get(VAR_PREFIX, 'lists.example.org')
DEFAULT_URL_PATTERN = 'http://%s/mailman/'
add_virtualhost(DEFAULT_URL_HOST, DEFAULT_EMAIL_HOST)

# Aliases are Puppet's.
MTA = None
EOF
chmod 644 /etc/mailman/mm_cfg.py
# Python 2 takes what it compiled in the same second for the present one.
rm -f /etc/mailman/mm_cfg.pyc /usr/lib/mailman/Mailman/mm_cfg.pyc

for site in $sites; do
    for folder in . archives archives/private archives/public data lists locks logs qfiles spam; do
        mkdir -p "$site/$folder"
        chown root:list "$site/$folder"
        chmod 2775 "$site/$folder"
    done
done
