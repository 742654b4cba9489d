// Tokens in the front channel: asking for them as the client `web`, and what has to be true of those that arrive.

import assert from 'node:assert/strict';

import { paths } from './keycloak.mjs';
import { inFragment } from './party.mjs';
import { form } from './wire.mjs';

/** `{ authorization, authorize, assertClean, assertGold }` for a world, the keys in it, and the relying party that verifies. */
export function frontChannel(world, keys, party) {
  const assertClean = (answer) => assert.deepEqual(keys.foreignIn(answer).map(({ header }) => header), []);
  const authorization = (parameters) => ({ client_id: 'web', redirect_uri: world.redirect, scope: 'openid', nonce: 'n-0S6_WzA2Mj', state: 'af0ifjsldkj', response_type: 'id_token token', ...parameters });
  return {
    assertClean,
    authorization,
    authorize: (parameters) => `${world.origin}${paths.auth}?${form(authorization(parameters))}`,

    /** The tokens at the relying party, where a front-channel response ends. */
    async assertGold(answer, audience = 'web') {
      assertClean(answer);
      const tokens = inFragment(answer);
      assert.ok(tokens.access_token && tokens.id_token, `${answer.status} ${answer.location ?? answer.text.replace(/<[^>]*>/g, ' ').slice(0, 600)}`);
      assert.equal((await party.verify(tokens.access_token)).plan, 'gold');
      assert.equal((await party.verify(tokens.id_token, { audience })).plan, 'gold');
      return tokens;
    },
  };
}
