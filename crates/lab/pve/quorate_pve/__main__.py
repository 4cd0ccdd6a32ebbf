"""Serves the API that a JSON file describes, until SIGTERM."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys

from fakepve.certs import make_cert

from .api import QuoratePve


def certificate(settings):
    """Paths of the certificate, which is its own authority, and of its key; made where they do not exist."""
    cert, key = settings['ca'], settings['ca'] + '.key'
    if not (os.path.exists(cert) and os.path.exists(key)):
        folder = os.path.dirname(os.path.abspath(cert))
        os.makedirs(folder, exist_ok=True)
        made, made_key, _ = make_cert(folder, name='.making', hosts=('pve', settings['node'], settings['listen']))
        os.replace(made_key, key)
        os.replace(made, cert)
    return cert, key


async def serve(settings):
    """Serves until it is told to end."""
    pve = QuoratePve(settings)
    await pve.start(*certificate(settings))
    if pve.control_url:
        print('control on {}'.format(pve.control_url), flush=True)
    print('listening on {}'.format(pve.url), flush=True)
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    await done.wait()
    pve.save()
    await pve.stop()


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog='quorate_pve', description=__doc__)
    parser.add_argument('guests', help='guests.json, see README.md')
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    with open(parser.parse_args().guests, encoding='utf-8') as file:
        settings = json.load(file)
    asyncio.run(serve(settings))


if __name__ == '__main__':
    main()
