// A TCP proxy that spoils what goes through it.

import net from 'node:net';

/** A wire to a port; `fault` is one of the names below, and setting it cuts what is open. */
export async function wire(to) {
  const open = new Set();
  let fault = 'none';
  let server;
  let port = 0;

  const spoilt = {
    none: (client, far) => far.pipe(client),
    latency: (client, far) => far.on('data', (bytes) => setTimeout(() => client.write(bytes), 300)).on('end', () => setTimeout(() => client.end(), 310)),
    drip: (client, far) =>
      far.on('data', (bytes) => {
        far.pause();
        let sent = 0;
        const timer = setInterval(() => {
          if (client.destroyed || sent >= bytes.length) return clearInterval(timer), far.resume();
          client.write(bytes.subarray(sent, ++sent));
        }, 100);
      }),
    half: (client, far) =>
      far.once('data', (bytes) => {
        client.write(bytes.subarray(0, Math.floor(bytes.length / 2)));
        setTimeout(() => client.destroy(), 20);
      }),
  };

  const accept = (client) => {
    const keep = (socket) => {
      open.add(socket);
      socket.on('error', () => {}).on('close', () => open.delete(socket));
    };
    keep(client);
    if (fault === 'black hole') return void client.resume();
    if (fault === 'reset') return void client.once('data', () => client.resetAndDestroy());
    const far = net.connect({ port: to, host: '127.0.0.1' });
    keep(far);
    client.pipe(far);
    client.on('close', () => far.destroy());
    far.on('close', () => fault !== 'latency' && client.end());
    spoilt[fault](client, far);
  };

  const listen = () =>
    new Promise((resolve, reject) => {
      server = net.createServer(accept);
      server.once('error', reject);
      server.listen({ port, host: '127.0.0.1', backlog: 8192 }, () => resolve(server.address().port));
    });

  const cut = () => open.forEach((socket) => socket.destroy());

  port = await listen();
  return {
    port,
    async set(name) {
      fault = name;
      cut();
      if (name === 'refuse' && server.listening) await new Promise((resolve) => server.close(resolve));
      if (name !== 'refuse' && !server.listening) await listen();
    },
    close() {
      cut();
      server.close();
    },
  };
}

export const FAULTS = ['refuse', 'reset', 'black hole', 'drip', 'half', 'latency'];
