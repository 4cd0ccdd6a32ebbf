"""Power of a guest as a command of the lab's."""

import asyncio
import time

from fakepve import TaskError

# A hook that takes longer than this hangs; the task must not.
LONGEST = 120


class Power:
    """Calls `<command> <guest> state|on|shutdown|off`."""

    def __init__(self, command):
        self.command = list(command)

    async def call(self, name, *verb):
        """Runs the hook; its last word on standard error becomes the task's error."""
        process = await asyncio.create_subprocess_exec(
            *self.command, name, *verb, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            out, err = await asyncio.wait_for(process.communicate(), LONGEST)
        except asyncio.TimeoutError:
            process.kill()
            raise TaskError('power hook: {} {} took longer than {} s'.format(name, verb[0], LONGEST)) from None
        if process.returncode:
            lines = err.decode(errors='replace').strip().splitlines() or ['exit status {}'.format(process.returncode)]
            raise TaskError('power hook: {} {}: {}'.format(name, verb[0], lines[-1]))
        return out.decode(errors='replace').strip()

    async def is_on(self, name):
        """Whether the host runs."""
        return (await self.call(name, 'state')).split()[:1] == ['running']

    async def shut_down(self, name, timeout, force):
        """Asks the host to shut down, and pulls the plug after `timeout` seconds where that is wanted."""
        await self.call(name, 'shutdown')
        until = time.monotonic() + timeout
        while await self.is_on(name):
            if time.monotonic() >= until:
                if not force:
                    raise TaskError('VM quit/powerdown failed - got timeout')
                await self.call(name, 'off')
                return 'VM still running - terminating now with SIGTERM'
            await asyncio.sleep(0.2)
        return None
