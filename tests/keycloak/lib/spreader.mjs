// A load balancer that knows nothing: every request goes to one of several ports at random, byte for byte as it came.
//
// A connection whose request or answer does not end where HTTP/1.1 plainly says, or on which more is sent than was asked for, stays with the port
// that it has: what is odd is not to be read here. So does TLS.

import { once } from 'node:events';
import net from 'node:net';

import { Message } from './framing.mjs';

export class Spreader {
  /** How many requests each port got; a connection that stays with its port counts once more at most. */
  requests;

  /** Listens on `port` for `ports`, chosen by `random`, which gives numbers from 0 to 1. */
  static async open(port, ports, random) {
    const spreader = new Spreader();
    spreader.requests = ports.map(() => 0);
    spreader.open = new Set();
    spreader.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => spreader.#serve(client, ports, random));
    spreader.server.listen(port, '127.0.0.1');
    await once(spreader.server, 'listening');
    return spreader;
  }

  #serve(client, ports, random) {
    let far;
    let chosen;
    let isPinned = false;
    let asked = { message: undefined, state: 'whole' };
    let answered = { state: 'whole' };

    const choose = () => {
      const next = Math.floor(random() * ports.length);
      if (far && next === chosen) return;
      far?.removeAllListeners().on('error', () => {}).destroy();
      chosen = next;
      far = net.connect({ port: ports[next], host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      let hasSpoken = false;
      far.on('data', (bytes) => {
        hasSpoken = true;
        const room = client.write(bytes);
        if (!room) {
          const mine = far;
          mine.pause();
          client.once('drain', () => mine.resume());
        }
        if (isPinned) return;
        answered.state = answered.state === 'whole' ? 'odd' : answered.message.push(bytes);
        isPinned ||= answered.state === 'odd' || (answered.state === 'whole' && asked.state !== 'whole');
      });
      far.on('end', () => client.end());
      // What was answered before still arrives.
      far.on('error', () => (hasSpoken ? client.end() : client.resetAndDestroy()));
      far.on('close', () => client.end());
      far.on('drain', () => client.resume());
    };

    this.open.add(client);
    choose();
    client.on('data', (bytes) => {
      if (!isPinned && asked.state === 'whole') {
        if (answered.state !== 'whole') isPinned = true;
        else {
          if (asked.message) choose();
          this.requests[chosen] += 1;
          const message = new Message();
          asked = { message, state: 'more' };
          answered = { message: new Message(message), state: 'more' };
        }
      }
      if (!isPinned) {
        asked.state = asked.message.push(bytes);
        isPinned ||= asked.state === 'odd';
      }
      if (!far.write(bytes)) client.pause();
    });
    client.on('end', () => far.end());
    client.on('error', () => far.destroy());
    client.on('close', () => {
      this.open.delete(client);
      far.destroy();
    });
  }

  close() {
    for (const client of this.open) client.destroy();
    this.server.close();
  }
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
