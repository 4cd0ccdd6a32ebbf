# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell commands that find, run and store the program on a target. POSIX sh, dash and busybox."""

from __future__ import annotations

import secrets
import shlex

STARTED = 'quorate: started'
MACHINES = {'x86_64': 'x86_64', 'amd64': 'x86_64', 'aarch64': 'aarch64', 'arm64': 'aarch64'}
# Where the kernel tells (Linux 6.1), no program has to be started for it.
MACHINE = 'read -r m 2>/dev/null </proc/sys/kernel/arch || m=$(uname -m)'
# -O: the directory is our own, so that nobody else can have put a file into it.
_OWN = '[ -O "$d" ] && [ -O "$d/$s" ] && [ -x "$d/$s" ]'
SAY_MACHINE = f'{MACHINE}; echo "$m"'


def arch(machine):
    """The architecture's directory for what `uname -m` says, or None."""
    return MACHINES.get(machine)


def word(output, verb):
    """What a command said after `quorate: <verb> `, or None."""
    prefix = f'quorate: {verb} '
    for line in output.splitlines():
        if line.startswith(prefix):
            return line[len(prefix):].strip()
    return None


def _directories(directory):
    """Where the program may lie, as words for `set --`.

    For root it is a place of root's own, whatever HOME says: with `sudo` without -H that is the login user's, who could
    put another program there. "/" belongs to whom runs this only for root: a test without a process of its own.
    """
    if directory:
        return f'set -- {shlex.quote(directory)}'
    return 'if [ -O / ]; then set -- ~root/.cache/quorate /var/cache/quorate; else set -- "$HOME/.cache/quorate"; fi'


def _choose(hashes):
    """Sets `m` to the machine and `s` to the name of its program."""
    cases = ' '.join(f'{m}) s={hashes[a]};;' for m, a in MACHINES.items() if a in hashes)
    return f'{MACHINE}; case $m in {cases} *) s=none;; esac'


def run(hashes, directory, environment, token, terms):
    """Runs the program with the JSON on standard input, or says which machine it is absent for.

    The shell waits for it. A program that takes long goes on by itself, under the name of the token, and ends that wait by a signal.
    """
    exports = f'export {environment}; ' if environment else ''
    return (
        # The first statement is one that csh and fish do not understand: they say nothing and end, and what follows is left to sh.
        f'{_directories(directory)}; echo "{STARTED}"; {_choose(hashes)}; '
        # No exec: where the program is killed the shell says so by its status; ssh itself would call the host unreachable.
        # What runs in the background has no standard input of its own accord: it gets it by way of descriptor 3.
        f'for d; do if {_OWN}; then {exports}trap "exit 0" USR1; exec 3<&0; '
        f'"$d/$s" --job {token} $$ {terms} - <&3 3<&- & exec 3<&-; wait $!; exit $?; fi; done; '
        # The JSON is read to its end, or the connection's writer meets a closed pipe.
        'cat >/dev/null; echo "quorate: absent $m"'
    )


def ask(hashes, directory, verb, token, *args):
    """Asks a program that goes on by itself."""
    words = ' '.join(str(arg) for arg in (verb, token, *args))
    return f'{_directories(directory)}; echo "{STARTED}"; {_choose(hashes)}; for d; do if {_OWN}; then "$d/$s" {words}; exit $?; fi; done'


def check(hashes, directory):
    """Removes a program that is not what its name says, and says for which machine. Not done before each run: it takes longer than most tasks."""
    return (
        f'{_directories(directory)}; {_choose(hashes)}; '
        'for d; do if [ -O "$d" ] && [ -e "$d/$s" ]; then h=$(sha256sum <"$d/$s"); '
        'if [ "${h%% *}" != "$s" ]; then rm -rf -- "$d/$s"; echo "quorate: damaged $m"; fi; exit 0; fi; done'
    )


def store(digest, directory):
    """Takes the program from standard input into the first directory that can run it, under its hash."""
    new = f'.new.{secrets.token_hex(8)}'
    return (
        f'umask 077; {_directories(directory)}; why=; '
        'for d; do '
        f't="$d/{new}"; '
        'if ! mkdir -p "$d" 2>/dev/null || [ ! -O "$d" ] || ! chmod 700 "$d" 2>/dev/null || ! ( : >"$t" ) 2>/dev/null; '
        'then why="$why\\"$d\\" cannot be written by $(id -un); "; continue; fi; '
        'chmod 700 "$t"; '
        'if [ ! -x "$t" ]; then rm -f "$t"; why="$why\\"$d\\" is mounted noexec; "; continue; fi; '
        'trap \'rm -f "$t"\' 0 1 2 15; '
        'if ! cat >"$t"; then echo "quorate: unstored \\"$d\\" could not take the program (disk full?)"; exit 0; fi; '
        'h=$(sha256sum <"$t"); h=${h%% *}; '
        f'if [ "$h" != {digest} ]; then '
        f'echo "quorate: unstored what arrived has sha256 ${{h:-unknown}}, {digest} was sent"; exit 0; fi; '
        f'if ! mv -f "$t" "$d/{digest}"; then echo "quorate: unstored \\"$d/{digest}\\" could not be put in place"; exit 0; fi; '
        # Programs of earlier versions go; a few stay for other controllers and, in a shared home, other machines.
        # So do pieces of uploads that were killed.
        'find "$d/." ! -name . -prune -name ".new.*" -mtime +0 -exec rm -f -- {} +; '
        'cd "$d" && ls -t | tail -n +9 | while read -r f; do rm -f -- "$f"; done; '
        'echo "quorate: stored $d"; exit 0; '
        'done; '
        'cat >/dev/null; echo "quorate: unstored ${why%; }"'
    )


def chunk(path, block, blocks, size):
    """Prints some blocks of a file as one line of base64."""
    return f'dd if={shlex.quote(path)} bs={size} skip={block} count={blocks} 2>/dev/null | base64 | tr -d "\\n"; echo'
