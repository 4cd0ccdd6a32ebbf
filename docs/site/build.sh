#!/bin/sh
# The documentation of the collection as web pages. Any warning ends it: a name that is no option, a link to nothing.
#
#   build.sh <folder with ansible_collections> <folder for the pages>
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=$2
rst=$to/rst
rm -rf "$rst" "$to/html"
mkdir -p "$rst"
chmod go-w "$rst" # antsibull-docs writes into no folder that others may write into
ANSIBLE_COLLECTIONS_PATH=$1 antsibull-docs --config-file "$here/antsibull-docs.cfg" collection \
    --use-current --fail-on-error --squash-hierarchy --cleanup no --dest-dir "$rst" quorate.controlplane
exec sphinx-build -q -W --keep-going -c "$here" -b html "$rst" "$to/html"
