// Another site in the same browser, and a name of its own that leads here: it reads nothing and changes nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { World, named } from '../lib/world.mjs';

const target = `/interceptors/${encodeURIComponent(named.PRE_SIGNUP)}/test`;

let world;
let browser;
let site;
let port;

before(async () => {
  world = await World.open();
  await world.populate();
  site = http.createServer((request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>'));
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  ({ port } = site.address());
  browser = await Browser.open({ args: ['--host-resolver-rules=MAP *.example 127.0.0.1'] });
});
after(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
  await world?.close();
});

test('a name that somebody else has pointed here is refused', async () => {
  const page = await browser.page('');
  const { port: dashboard } = new URL(world.dashboard);
  for (const path of ['/', '/log', '/log/1', '/metrics', '/log/export.ndjson', '/assets/dashboard.css']) {
    const response = await page.goto(`http://rebound.example:${dashboard}${path}`);
    assert.equal(response.status(), 421, path);
    assert.ok(!(await response.text()).includes('@'), path);
  }
});

// The same host at another port is the same site to a browser, and another origin; the other two are other sites.
for (const host of ['127.0.0.1', 'localhost', 'evil.example']) {
  describe(`a page at ${host}`, () => {
    let page;
    let before;
    const state = async () => ({ asked: world.hooks.events.length, recorded: (await world.records()).length, kept: existsSync(join(world.folder, 'cases')) });

    test('opens', async () => {
      page = await browser.page('');
      await page.goto(`http://${host}:${port}/`);
      before = await state();
    });

    test('reads nothing by fetch', async () => {
      for (const path of ['/', '/log', '/log/1', '/log/rows', '/log/export.ndjson', '/metrics', '/keys', '/healthz']) {
        const read = await page.evaluate(async (url) => {
          const outcomes = [];
          for (const mode of ['cors', 'no-cors']) {
            try {
              const response = await fetch(url, { mode, credentials: 'include' });
              outcomes.push(await response.text());
            } catch {
              outcomes.push('');
            }
          }
          return outcomes.join('');
        }, world.dashboard + path);
        assert.equal(read, '', path);
      }
    });

    test('loads nothing as a picture, a script, a style or a frame', async () => {
      const loaded = await page.evaluate(async (origin) => {
        const attempt = (name, attributes) =>
          new Promise((resolve) => {
            const element = Object.assign(document.createElement(name), attributes);
            element.onload = () => resolve(`${name} ${attributes.src ?? attributes.href}`);
            element.onerror = () => resolve('');
            document.head.append(element);
          });
        const framed = (src) =>
          new Promise((resolve) => {
            const frame = Object.assign(document.createElement('iframe'), { src });
            frame.onload = () => {
              let text = '';
              try {
                text = frame.contentDocument?.body.innerText ?? '';
              } catch {
                text = '';
              }
              resolve(text.includes('Tollgate') ? `frame ${src}` : '');
            };
            document.body.append(frame);
          });
        const all = await Promise.all([
          attempt('img', { src: `${origin}/assets/favicon.svg` }),
          attempt('script', { src: `${origin}/assets/htmx.min.js` }),
          attempt('script', { src: `${origin}/log/export.ndjson` }),
          attempt('link', { rel: 'stylesheet', href: `${origin}/assets/dashboard.css` }),
          framed(`${origin}/`),
          framed(`${origin}/log`),
        ]);
        return all.filter(Boolean);
      }, world.dashboard);
      assert.deepEqual(loaded, []);
      for (const frame of page.frames().slice(1)) assert.ok(!(await frame.content()).includes('Tollgate'), frame.url());
    });

    test('has no hold on a window that it opens', async () => {
      const [opened, hold] = await Promise.all([
        browser.context.waitForEvent('page'),
        page.evaluate((url) => {
          window.opened = window.open(url);
          return window.opened !== null;
        }, `${world.dashboard}/`),
      ]);
      assert.ok(hold);
      await opened.waitForLoadState();
      assert.equal(await opened.evaluate(() => window.opener), null);
      await page.waitForFunction(() => window.opened.closed);
      await opened.close();
    });

    test('changes nothing by fetch or by a form', async () => {
      const bodies = { [target]: 'action=save&case=planted&event=%7B%7D', [`${target}/replay`]: 'since=&limit=100', [`${target}/cases`]: '', '/logout': '', '/routes': 'method=GET&url=/' };
      for (const [path, body] of Object.entries(bodies)) {
        await page.evaluate(
          async ([url, text]) => {
            for (const mode of ['cors', 'no-cors']) {
              await fetch(url, { method: 'POST', mode, credentials: 'include', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: text }).catch(() => undefined);
            }
          },
          [world.dashboard + path, body],
        );
        const [response] = await Promise.all([
          page.waitForResponse(world.dashboard + path),
          page.evaluate(
            ([action, text]) => {
              const form = Object.assign(document.createElement('form'), { method: 'post', action });
              for (const [name, value] of new URLSearchParams(text)) form.append(Object.assign(document.createElement('input'), { name, value }));
              document.body.append(form);
              form.submit();
            },
            [world.dashboard + path, body],
          ),
        ]);
        assert.equal(response.status(), 403, path);
        await page.waitForURL((url) => url.origin === world.dashboard);
        await page.goto(`http://${host}:${port}/`);
      }
      assert.deepEqual(await state(), before);
      await page.close();
    });
  });
}
