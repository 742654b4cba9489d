// A relying party: openid-client with every check it has, its configuration found through discovery alone.

import { createHash } from 'node:crypto';

import * as jose from 'jose';
import * as oidc from 'openid-client';

import { secretOf } from '../realm.mjs';

/** The left half of a token's hash, as `at_hash` has it (OIDC Core §3.1.3.6). */
export function halfHash(token) {
  return createHash('sha256').update(token).digest().subarray(0, 16).toString('base64url');
}

/** The parameters that a redirect takes to the client in its fragment. */
export const inFragment = (answer) => Object.fromEntries(new URLSearchParams(answer.location?.hash.slice(1)));

export const claimsOf = (token) => jose.decodeJwt(token);
export const headerOf = (token) => jose.decodeProtectedHeader(token);

export class Party {
  static async of(world, clientId, { confidential = false, authentication = confidential ? oidc.ClientSecretBasic(world.secretOf(clientId)) : oidc.None(), metadata = {} } = {}) {
    const party = new Party();
    party.world = world;
    party.clientId = clientId;
    party.config = await oidc.discovery(new URL(world.issuer), clientId, metadata, authentication, {
      // The suite is on loopback without TLS; the signature is checked nonetheless, which the library leaves out by default.
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    });
    party.keys = jose.createRemoteJWKSet(new URL(party.config.serverMetadata().jwks_uri));
    return party;
  }

  /** The beginning of a code flow with PKCE, state and nonce: where the browser goes, and what has to come back. */
  async authorizationUrl(parameters = {}) {
    const checks = { pkceCodeVerifier: oidc.randomPKCECodeVerifier(), expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() };
    this.world.canaries.add('PKCE verifier', checks.pkceCodeVerifier);
    const url = oidc.buildAuthorizationUrl(this.config, {
      redirect_uri: this.world.redirect,
      scope: 'openid profile email',
      code_challenge: await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...parameters,
    });
    return { url, checks };
  }

  /** A code flow up to the redirect back. */
  async authorize(visitor, username, parameters = {}) {
    const { url, checks } = await this.authorizationUrl(parameters);
    const location = await visitor.logIn(url.href, username, secretOf(username));
    return { location, checks };
  }

  async redeem({ location, checks }) {
    return this.world.keep(await oidc.authorizationCodeGrant(this.config, location, checks));
  }

  async logIn(username, visitor = this.world.visitor(), parameters = {}) {
    return this.redeem(await this.authorize(visitor, username, parameters));
  }

  async refresh(tokens) {
    return this.world.keep(await oidc.refreshTokenGrant(this.config, tokens.refresh_token));
  }

  async grant(type, parameters) {
    return this.world.keep(await oidc.genericGrantRequest(this.config, type, parameters));
  }

  /** The verified payload of a token: signature by the published keys, issuer, times. */
  async verify(token, options = {}) {
    const { payload } = await jose.jwtVerify(token, this.keys, { issuer: this.world.issuer, ...options });
    return payload;
  }

  userinfo(tokens) {
    return oidc.fetchUserInfo(this.config, tokens.access_token, claimsOf(tokens.id_token).sub);
  }

  introspect(token) {
    return oidc.tokenIntrospection(this.config, token);
  }

  revoke(token, hint) {
    return oidc.tokenRevocation(this.config, token, hint ? { token_type_hint: hint } : {});
  }

  logoutUrl(tokens) {
    return oidc.buildEndSessionUrl(this.config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${this.world.rp}/bye`, state: 'see-you' }).href;
  }
}

export { jose, oidc };
