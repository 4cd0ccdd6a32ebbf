# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the dispatcher in the process that forks the workers, which imports this package to look plugins up.

Otherwise each worker compiles it anew, for each task on each host: a quarter of a task's time.
"""

from __future__ import annotations

from ansible_collections.quorate.controlplane.plugins.action import quorate  # noqa: F401
from ansible_collections.quorate.controlplane.plugins.plugin_utils import carried, core

carried.warm()
core.warm()
