#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "pve_guest"
short_description: "Switches a Proxmox VE virtual machine on or off, and proves it"
version_added: "0.1.0"
description:
  - "Switches a Proxmox VE virtual machine on or off, and proves it."
  - "A machine counts as stopped when its node says so and no task is about to start it again, never because a task ended well."
  - "Locks (backup, migration) and running tasks of the machine are waited out. Where the HA stack manages the machine, the HA stack is asked, and the machine counts as stopped only when the HA state says so, too: otherwise it would be started again."
author:
  - "Quorate contributors (@quorate)"
options:
  api_host:
    description:
      - "Name or address of a node of the cluster."
      - "Without it the environment variable E(PROXMOX_HOST) is used."
    type: "str"
  api_port:
    description:
      - "Port of the API."
      - "Without it the environment variable E(PROXMOX_PORT) is used, and then V(8006)."
    type: "int"
  api_token_id:
    description:
      - "Name of the API token. It needs VM.Audit and VM.PowerMgmt on the machine, and VM.Config.Options for O(onboot)."
      - "Without it the environment variable E(PROXMOX_TOKEN_ID) is used."
    type: "str"
  api_token_secret:
    description:
      - "Secret of the API token."
      - "Without it the environment variable E(PROXMOX_TOKEN_SECRET) is used."
    type: "str"
  api_user:
    description:
      - "User the token belongs to."
      - "Without it the environment variable E(PROXMOX_USER) is used, and then V(root@pam)."
    type: "str"
  ca_path:
    description:
      - "Certificate authority of the API, in PEM form: C(/etc/pve/pve-root-ca.pem) of any node. The system's authorities when it is not given."
      - "Not looked at with O(validate_certs=false)."
    type: "path"
  force:
    description:
      - "Whether a machine that has not shut down within O(timeout) is powered off."
      - "With O(timeout=0) it is powered off at once. The HA stack always does so."
    type: "bool"
    default: false
  lock_timeout:
    description:
      - "How long locks and tasks of others are waited for."
    type: "str"
    default: "10m"
  lock_until:
    description:
      - "Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until)."
      - "When it is given, each change is only made before that time, by the clock of the host the task runs on."
    type: "str"
  name:
    description:
      - "Name of the machine. With O(vmid) too, both must belong to the same machine."
    type: "str"
  node:
    description:
      - "Node the machine is on. It is found when it is not given, and must agree when it is."
    type: "str"
  onboot:
    description:
      - "Whether the machine starts when its node boots. Left as it is when not given."
      - "Set before the power is switched, so that a machine that has to stay off cannot come back with its node."
    type: "bool"
  state:
    description:
      - "What the machine shall be."
      - "V(current): The machine is left as it is. What is known about it is returned."
      - "V(started): The machine runs."
      - "V(stopped): The machine is off. The guest is asked to shut down; see O(force)."
    type: "str"
    default: "current"
    choices:
      - "current"
      - "started"
      - "stopped"
  timeout:
    description:
      - "How long the guest may take to shut down, and to be seen running after a start."
    type: "str"
    default: "60"
  validate_certs:
    description:
      - "Whether the API's certificate is verified."
      - "Without it the environment variable E(PROXMOX_VALIDATE_CERTS) is used, and then V(true)."
    type: "bool"
  vmid:
    description:
      - "Id of the machine."
    type: "int"
attributes:
  action_group:
    description: "Takes the defaults of a group of modules."
    membership:
      - "quorate.controlplane.all"
    support: "full"
  check_mode:
    description: "Predicts without changing anything."
    support: "full"
  diff_mode:
    description: "Shows what differs."
    details:
      - "Shows the state before and after, as it returns them."
    support: "full"
  platform:
    description: "Runs on Linux, on x86_64 and aarch64. The target needs no Python."
    platforms: "posix"
    support: "full"
requirements:
  - "A POSIX shell with uname and sha256sum on the target."
'''

EXAMPLES = r'''
---
- name: Switch the machine of cp2 off, by force after two minutes, and keep it off when its node boots
  quorate.controlplane.pve_guest:
    api_host: pve1.example.org
    api_user: quorate@pve
    api_token_id: playbook
    api_token_secret: "{{ pve_token_secret }}"
    ca_path: /etc/pve/pve-root-ca.pem
    vmid: 102
    name: cp2
    state: stopped
    timeout: 120
    force: true
    onboot: false
  delegate_to: localhost

- name: Start it again
  quorate.controlplane.pve_guest:
    vmid: 102
    name: cp2
    state: started
    onboot: true
  delegate_to: localhost

- name: Look up its disks and its UUID
  quorate.controlplane.pve_guest:
    name: cp2
  register: machine
  delegate_to: localhost
'''

RETURN = r'''
---
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
disks:
  description:
    - "Volume of each disk: C(scsi0) and its C(storage:name)."
  type: "dict"
  returned: "when known"
ha_state:
  description:
    - "State of its HA service, where the HA stack manages it."
  type: "str"
  returned: "when known"
name:
  description:
    - "Its name."
  type: "str"
  returned: "when known"
node:
  description:
    - "The node it is on."
  type: "str"
  returned: "when known"
onboot:
  description:
    - "Whether it starts with its node."
  type: "bool"
  returned: "when known"
refusal:
  description:
    - "Why the module decided not to act."
  type: "dict"
  returned: "when refused"
  contains:
    code:
      description:
        - "The reason, for programs."
      type: "str"
      returned: "always"
    standing:
      description:
        - "V(passing) goes away by itself, V(unmet) when an earlier task has run, V(final) not without a decision."
      type: "str"
      returned: "always"
    text:
      description:
        - "What was observed, what was needed, and the way out."
      type: "str"
      returned: "always"
refused:
  description:
    - "The module decided not to act. Nothing was changed."
  type: "bool"
  returned: "when refused"
smbios_uuid:
  description:
    - "What the guest sees as its product UUID, in lower case."
  type: "str"
  returned: "when known"
status:
  description:
    - "Its power, as the node says."
    - "V(running): It runs."
    - "V(paused): It runs and is paused."
    - "V(stopped): It is off."
  type: "str"
  returned: "when known"
  choices:
    - "running"
    - "paused"
    - "stopped"
steps:
  description:
    - "What was done, or in check mode would be done, a sentence each."
  type: "list"
  elements: "str"
  returned: "success"
steps_done:
  description:
    - "What was done before the failure."
  type: "list"
  elements: "str"
  returned: "failure"
steps_in_doubt:
  description:
    - "What was sent and whose effect was not seen. Running the task again finds out."
  type: "list"
  elements: "str"
  returned: "failure"
steps_left:
  description:
    - "What was not begun."
  type: "list"
  elements: "str"
  returned: "failure"
vmid:
  description:
    - "Its id."
  type: "int"
  returned: "when known"
'''
