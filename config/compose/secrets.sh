#!/bin/sh
# Makes what `docker compose` needs before its first start: passwords, keys and addresses as files under secrets/, and a
# .env that says which profile a plain `docker compose up` starts.
#
#     sh config/compose/secrets.sh          then: docker compose up --wait
#     sh config/compose/secrets.sh full     the same, for everything
#
# Run again it makes only what is missing. Nothing is printed that is secret.
set -eu
cd "$(dirname "$0")/../.."
profile=${1:-core}
case $profile in core | full) ;; *) echo "there is no profile $profile: core or full" >&2; exit 2 ;; esac

# Only this user may look into the folder. The files in it are read by containers of other users, each of which is given
# its own ones alone; Docker Desktop shows them as the reader's own, and then nobody else may be able to read them.
umask 077
mkdir -p secrets/tls
chmod 700 secrets
case $(uname -s) in Linux) mode=644 ;; *) mode=600 ;; esac

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# keep NAME: write standard input to the secret NAME, unless it is there.
keep() {
    if [ -s "secrets/$1" ]; then cat >/dev/null; else
        cat >"secrets/$1.new"
        mv "secrets/$1.new" "secrets/$1"
        echo "made secrets/$1"
    fi
    chmod "$mode" "secrets/$1"
}

for name in secret_key mongodb_root_password mongodb_password mongodb_ops_password redis_password grafana_password; do
    random | keep "$name"
done
{ random; random; random; } | keep mongodb_keyfile
members=mongodb-1:27017,mongodb-2:27017,mongodb-3:27017
printf 'mongodb://%s@%s/qsuite?replicaSet=qsuite&authSource=admin' "qsuite:$(cat secrets/mongodb_password)" "$members" |
    keep mongodb_uri
printf 'redis://%s@redis:6379/0' ":$(cat secrets/redis_password)" | keep redis_url

# A certificate of one's own: fullchain.pem and privkey.pem in secrets/tls. It is read by the user of the containers.
chmod 755 secrets/tls
[ -e .env ] || : >.env
grep -q '^COMPOSE_PROFILES=' .env || { echo "COMPOSE_PROFILES=$profile" >>.env; echo "COMPOSE_PROFILES=$profile in .env"; }
