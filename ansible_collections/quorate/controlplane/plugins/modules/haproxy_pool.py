#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "haproxy_pool"
short_description: "Takes a server out of HAProxy backends, or puts it back"
version_added: "0.1.0"
description:
  - "Takes a server out of HAProxy backends, or puts it back."
  - "Works over the runtime socket of one or several load balancers and brings the server to the same state on every one of them. What is set there lasts until HAProxy is reloaded; the next run sees that and sets it again."
  - "The last server that is UP in a backend is never taken out, and a server is put back only after its health check has passed C(rise) times."
author:
  - "Quorate contributors (@quorate)"
options:
  backend:
    description:
      - "Backends to work on."
      - "All that have a server of this name when it is not given."
    type: "list"
    elements: "str"
    aliases:
      - "backends"
  drain_timeout:
    description:
      - "How long the sessions on the server may take to end by themselves, together on all load balancers."
    type: "str"
    default: "30"
  lock_until:
    description:
      - "Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until)."
      - "When it is given, each change is only made before that time, by the clock of the host the task runs on."
    type: "str"
  min_up:
    description:
      - "How many other servers must be UP in each backend, on each load balancer, for this one to be taken out."
      - "UP are those that get new connections and whose last health check passed."
    type: "int"
    default: 1
  ready_timeout:
    description:
      - "How long the health check may take to find the server UP."
    type: "str"
    default: "60"
  server:
    description:
      - "Name of the server in the backends."
    type: "str"
    required: true
    aliases:
      - "host"
  shutdown_sessions:
    description:
      - "Whether sessions that are still there after O(drain_timeout) are shut down. Otherwise they are left alone, and the task goes on."
      - "V(true) for O(state=maintenance) and V(false) for O(state=drained) when it is not given."
    type: "bool"
  sockets:
    description:
      - "Runtime sockets of the load balancers, each a path on the host the task runs on or C(host:port)."
      - "The line in HAProxy's configuration needs C(level admin), as in C(stats socket /run/haproxy/admin.sock mode 660 level admin)."
      - "Every one of them has to answer before anything is changed."
    type: "list"
    elements: "str"
    default:
      - "/run/haproxy/admin.sock"
    aliases:
      - "socket"
  state:
    description:
      - "What the server shall be."
      - "For those who come from M(community.general.haproxy), V(drained) is V(drain) there, V(maintenance) is V(disabled) and V(ready) is V(enabled)."
      - "V(drained): The server gets no new connections. Those it has are waited for, health checks go on. A server in maintenance is left there."
      - "V(maintenance): The server is drained first, and then gets nothing at all, health checks included."
      - "V(ready): The server gets connections, and its health check has found it UP."
    type: "str"
    required: true
    choices:
      - "drained"
      - "maintenance"
      - "ready"
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
- name: Let the connections of cp2 run out
  quorate.controlplane.haproxy_pool:
    server: cp2
    backend: kube-apiserver
    state: drained
  delegate_to: lb1

- name: Take cp2 out of every backend of both load balancers
  quorate.controlplane.haproxy_pool:
    sockets:
      - 192.0.2.10:9999
      - 192.0.2.11:9999
    server: cp2
    state: maintenance
    drain_timeout: 60

- name: Put cp2 back once its health check passes
  quorate.controlplane.haproxy_pool:
    server: cp2
    state: ready
  delegate_to: lb1
'''

RETURN = r'''
---
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
load_balancers:
  description:
    - "The load balancers, in the order of O(sockets)."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    backends:
      description:
        - "The backends that have the server."
      type: "list"
      elements: "dict"
      returned: "when known"
      contains:
        backend:
          description:
            - "Its name."
          type: "str"
          returned: "always"
        others_up:
          description:
            - "How many other servers of the backend are UP."
          type: "int"
          returned: "always"
        server:
          description:
            - "Name of the server."
          type: "str"
          returned: "always"
        state:
          description:
            - "V(ready) and UP, V(down) (it would get connections if its health check passed), V(drained), V(maintenance), V(inherited) (from the server it tracks) or V(unresolved) (its name does not resolve)."
          type: "str"
          returned: "always"
    socket:
      description:
        - "Its runtime socket."
      type: "str"
      returned: "always"
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
'''
