# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real sshd on loopback over a target without Python, and a collection whose program is a shell script that repeats what it was given."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
# The version of ansible-core under test; without it, that of the environment that runs pytest.
BIN = Path(os.environ.get('QUORATE_ANSIBLE') or Path(sys.executable).parent)
PASSWORD = 'correct-horse-battery'

# What the action plugin needs of a program: the request from a file or from standard input, one JSON object as the reply.
ECHO = r"""#!/bin/sh
# version: @VERSION@
case $1 in --job) shift 5 ;; --follow | --leave) echo '{"job":"absent","why":"it is none"}'; exit 0 ;; esac
request=$(cat "$1")
# A callback would leave the controller's own keys out.
shown=$(printf %s "$request" | sed 's/_ansible_/internal_/g')
case $request in
    *'"mode": "die"'*) kill -KILL $$ ;;
    *'"mode": "keep"'*) printf %s "$request" >"$HOME/kept" ;;
    *'"mode": "slow"'*) echo $$ >"$HOME/slow"; sleep 30; rm -f "$HOME/slow" ;;
    *'"mode": "junk"'*) echo 'a line before' ;;
    *'"mode": "big"'*) printf '{"changed":false,"failed":false,"bytes":%s}\n' "${#request}"; exit 0 ;;
    *'"mode": "fetch"'*) path=$(printf %s "$request" | sed 's/.*"path": "\([^"]*\)".*/\1/')
        sum=$(sha256sum "$path"); printf '{"changed":false,"failed":false,"path":"%s","sha256":"%s"}\n' "$path" "${sum%% *}"; exit 0 ;;
    *'"mode": "warn"'*) echo '{"changed":true,"failed":false,"warnings":["a word of warning"],"diff":{"before":{"a":1},"after":{"a":2}}}'; exit 0 ;;
    *'"mode": "lie"'*) printf '{"changed":false,"failed":false,"path":"/etc/passwd","sha256":"%064d"}\n' 0; exit 0 ;;
esac
printf '{"changed":true,"failed":false,"_ansible_no_log":false,"got":%s,"program":"%s","way":"%s","uid":%s,"marked":"%s","text":"{{ 1 + 1 }}"}\n' \
    "$shown" "$0" "$1" "$(id -u)" "$MARK"
"""

SPEC = {
    'argument_spec': {
        'name': {'type': 'str', 'aliases': ['title']},
        'mode': {'type': 'str', 'choices': ['plain', 'die', 'junk', 'big', 'fetch', 'lie', 'warn', 'slow', 'keep'], 'default': 'plain'},
        'count': {'type': 'int'},
        'secret': {'type': 'str', 'no_log': True},
        'path': {'type': 'path'},
        'fetch_to': {'type': 'path'},
        'holder': {'type': 'str'},
    },
    'mutually_exclusive': [['count', 'path']],
}


def build_collection(root, version='1', archs=('x86_64', 'aarch64')):
    """The collection's own plugins with the echo program, as an installed tree."""
    tree = root / 'ansible_collections' / 'quorate' / 'controlplane'
    shutil.copytree(COLLECTION / 'plugins', tree / 'plugins', dirs_exist_ok=True)
    (tree / 'plugins' / 'modules').mkdir(exist_ok=True)
    (tree / 'plugins' / 'modules' / 'echo.py').write_text('DOCUMENTATION = "module: echo"\n')
    (tree / 'meta').mkdir(exist_ok=True)
    (tree / 'meta' / 'runtime.yml').write_text(
        'requires_ansible: ">=2.16.0"\n'
        'action_groups: {all: [echo]}\n'
        'plugin_routing: {modules: {echo: {action_plugin: quorate.controlplane.quorate}}}\n'
    )
    (tree / 'bin' / 'spec').mkdir(parents=True, exist_ok=True)
    (tree / 'bin' / 'spec' / 'echo.json').write_text(json.dumps(SPEC))
    sums = []
    for arch in archs:
        program = tree / 'bin' / arch / 'quorate'
        program.parent.mkdir(exist_ok=True)
        program.write_text(ECHO.replace('@VERSION@', f'{arch} {version}'))
        program.chmod(0o755)
        sums.append(f'{hashlib.sha256(program.read_bytes()).hexdigest()}  {arch}/quorate\n')
    (tree / 'bin' / 'SHA256SUMS').write_text(''.join(sums))
    return tree


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Target:
    """A host of its own as far as files go: a private mount namespace with its users, homes and no Python, under a real sshd."""

    SETUP = r"""
set -eu
d=$1
# A copy of the mount of a lab that is up would keep its disks busy.
awk '$3 == "btrfs" && $2 ~ /quorate/ {print $2}' /proc/self/mounts | while read -r place; do umount --lazy "$place"; done
mount -t tmpfs tmpfs /root; chmod 700 /root
mount -t tmpfs tmpfs /home
mount -t tmpfs tmpfs /var/cache
mount -t tmpfs tmpfs /opt; mkdir -m 755 /opt/spare
mkdir -p /run/sshd
install -d -o 54321 -g 54321 -m 755 /home/operator
install -d -o 54322 -g 54322 -m 755 /home/other
install -m 644 "$d/user.pub" /home/keys
install -m 755 "$d/shell" /home/shell
for f in passwd shadow group sudoers; do mount --bind "$d/$f" "/etc/$f"; done
[ -n "${WITH_PYTHON:-}" ] || for p in /usr/bin/python3*; do [ -L "$p" ] || mount --bind "$d/nothing" "$p"; done
[ -z "${FAKE_UNAME:-}" ] || { mount --bind "$d/uname" /usr/bin/uname; [ ! -e /proc/sys/kernel/arch ] || mount --bind "$d/arch" /proc/sys/kernel/arch; }
[ -z "${NOEXEC:-}" ] || { mount -o remount,noexec /root; mount -o remount,noexec /home; mount -o remount,noexec /var/cache; }
exec /usr/sbin/sshd -D -e -f "$d/sshd_config"
"""

    def __init__(self, root, **environment):
        self.dir, self.port = root, free_port()
        root.mkdir()
        self._files(environment)
        self.log = root / 'log'
        command = ['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', self.SETUP, 'target', str(root)]
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **environment}, start_new_session=True)
        deadline = time.monotonic() + 20
        while 'Server listening' not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, f'sshd did not start: {self.log.read_text()}'
            time.sleep(0.02)

    def _files(self, environment):
        def put(name, text, mode=0o644):
            (self.dir / name).write_text(text)
            (self.dir / name).chmod(mode)

        users = [('operator', 54321), ('other', 54322)]
        login = '/home/shell' if environment.get('ODD_SHELL') else '/bin/sh'
        hashed = subprocess.run(['openssl', 'passwd', '-5', PASSWORD], check=True, capture_output=True, text=True).stdout.strip()
        put('passwd', Path('/etc/passwd').read_text() + ''.join(f'{u}:x:{i}:{i}::/home/{u}:{login}\n' for u, i in users))
        put('group', Path('/etc/group').read_text() + ''.join(f'{u}:x:{i}:\n' for u, i in users))
        put('shadow', f'root:{hashed}:19000:0:99999:7:::\n' + ''.join(f'{u}:{hashed}:19000:0:99999:7:::\n' for u, _ in users), 0o600)
        put('sudoers', 'root ALL=(ALL:ALL) NOPASSWD: ALL\noperator ALL=(other) NOPASSWD: ALL\noperator ALL=(root) ALL\n', 0o440)
        put('nothing', '')
        put('uname', f'#!/bin/sh\necho {environment.get("FAKE_UNAME", "")}\n', 0o755)
        # As fish and csh do: nothing of a POSIX script is run, and the exit status says nothing.
        put('shell', '#!/bin/sh\ncase $2 in "/bin/sh -c "*|"sudo "*) exec /bin/sh "$@";; *) echo "no such syntax" >&2;; esac\n', 0o755)
        put('arch', environment.get('FAKE_UNAME', '') + '\n')
        for key in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', self.dir / key], check=True)
        put(
            'sshd_config',
            f'Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.dir}/host\nAuthorizedKeysFile /home/keys\nStrictModes no\n'
            f'PidFile none\nUsePAM no\nPasswordAuthentication no\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\nMaxStartups 100\n',
        )

    def execs(self):
        """How many commands were started since the beginning; an sftp session counts, too."""
        return self.log.read_text().count('Starting session:')

    def inside(self, command):
        """Does something on the target with root's hands: in its own mounts, among its own processes."""
        ns = f'/proc/{self.process.pid}/ns'
        done = subprocess.run(['nsenter', f'--mount={ns}/mnt', f'--pid={ns}/pid_for_children', 'sh', '-c', command], capture_output=True, text=True, check=False)
        return done.stdout

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=20)


class Controller:
    """Runs real ansible-playbook and ansible with an installed tree of the collection."""

    def __init__(self, root, target=None):
        self.root, self.target = root, target
        self.tree = build_collection(root)
        (root / 'cp').mkdir(exist_ok=True)
        host = 'h1 ansible_connection=local'
        if target:
            host = f'h1 ansible_host=127.0.0.1 ansible_port={target.port} ansible_ssh_private_key_file={target.dir}/user'
        (root / 'hosts').write_text(f'{host}\nhere ansible_connection=local\n[targets]\nh1\n')
        (root / 'ansible.cfg').write_text(
            '[defaults]\n'
            f'inventory={root}/hosts\ncollections_path={root}\nhost_key_checking=False\nlocal_tmp={root}/tmp\nretry_files_enabled=False\n'
            'interpreter_python=auto_silent\ngathering=explicit\nnocows=True\nstdout_callback=ansible.posix.json\nlocalhost_warning=False\n'
            f'[ssh_connection]\ncontrol_path_dir={root}/cp\n'
            'ssh_args=-C -o ControlMaster=auto -o ControlPersist=30s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR\n'
        )
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('ANSIBLE_')}
        self.env |= {'ANSIBLE_CONFIG': str(root / 'ansible.cfg'), 'PATH': f'{BIN}:{os.environ["PATH"]}', 'LC_ALL': 'C.UTF-8'}
        self.env['ANSIBLE_LOAD_CALLBACK_PLUGINS'] = '1'
        self.env['ANSIBLE_STDOUT_CALLBACK'] = 'tree_of_results'
        self.env['ANSIBLE_CALLBACK_PLUGINS'] = str(Path(__file__).parent / 'callback')

    def play(self, tasks, *args, user='operator', **keywords):
        """Runs tasks; answers with their results in order, and what was printed."""
        text = json.dumps([{'hosts': 'h1', 'gather_facts': False, 'remote_user': user, 'tasks': tasks, **keywords}])
        (self.root / 'play.yml').write_text(text)
        return self.run(['ansible-playbook', str(self.root / 'play.yml'), *args])

    def run(self, command):
        results = self.root / 'results.jsonl'
        results.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, env={**self.env, 'RESULTS': str(results)}, cwd=self.root, check=False)
        lines = results.read_text().splitlines() if results.exists() else []
        assert lines, f'{done.stdout}\n{done.stderr}'
        return [json.loads(line) for line in lines], done.stdout + done.stderr


def pytest_configure(config):
    config.addinivalue_line('markers', 'core: what is run with every version of ansible-core')


@pytest.fixture(scope='session')
def root_or_skip():
    if os.environ.get('QUORATE_NO_LAB') == '1':
        pytest.skip('QUORATE_NO_LAB=1: the tests over sshd need root')
    for tool in ('/usr/sbin/sshd', 'unshare', 'sudo'):
        assert shutil.which(tool), f'{tool} is missing: run "cargo xtask deps"'
    assert os.geteuid() == 0, 'the tests over sshd need root; without it run "cargo xtask test --no-lab"'


@pytest.fixture(scope='session')
def shared_target(root_or_skip, tmp_path_factory):
    target = Target(tmp_path_factory.mktemp('target') / 't')
    yield target
    target.stop()


@pytest.fixture
def make_target(root_or_skip, tmp_path):
    made = []

    def make(**environment):
        made.append(Target(tmp_path / f'target{len(made)}', **environment))
        return made[-1]

    yield make
    for target in made:
        target.stop()


@pytest.fixture
def target(shared_target):
    """The shared target, with no program on it."""
    shared_target.inside('rm -rf /root/.cache /home/operator/.cache /home/other/.cache /var/cache/quorate /opt/spare/*')
    return shared_target


@pytest.fixture
def short_tmp(tmp_path_factory):
    # A control socket's path may have 108 bytes.
    return tmp_path_factory.mktemp('c')


@pytest.fixture
def controller(short_tmp, target):
    return Controller(short_tmp, target)


@pytest.fixture
def local(short_tmp):
    return Controller(short_tmp)
