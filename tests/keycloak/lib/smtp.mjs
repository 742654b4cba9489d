// A mail server on loopback that accepts everything and keeps it in memory.

import { once } from 'node:events';
import net from 'node:net';

export class Mailbox {
  mails = [];

  static async open(port) {
    const box = new Mailbox();
    box.server = net.createServer((socket) => box.#serve(socket));
    box.server.listen(port, '127.0.0.1');
    await once(box.server, 'listening');
    return box;
  }

  #serve(socket) {
    let pending = '';
    let data;
    const say = (line) => socket.write(`${line}\r\n`);
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    say('220 sink');
    socket.on('data', (chunk) => {
      pending += chunk;
      let end;
      while ((end = pending.indexOf('\r\n')) >= 0) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        if (data) {
          if (line === '.') {
            this.mails.push(data.join('\n'));
            data = undefined;
            say('250 kept');
          } else data.push(line);
        } else if (/^DATA/i.test(line)) {
          data = [];
          say('354 go on');
        } else if (/^QUIT/i.test(line)) {
          say('221 bye');
          socket.end();
        } else say('250 ok');
      }
    });
  }

  /** The mails that went to an address. */
  to(address) {
    return this.mails.filter((mail) => mail.toLowerCase().includes(`to: ${address.toLowerCase()}`));
  }

  close() {
    this.server.close();
  }
}

/** The first link in a mail, whose text part may be quoted-printable. */
export function linkIn(mail) {
  const text = mail.replaceAll('=\n', '').replaceAll('=3D', '=');
  return /https?:\/\/[^\s"<>]+/.exec(text)?.[0].replaceAll('&#61;', '=').replaceAll('&amp;', '&');
}
