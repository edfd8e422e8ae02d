// Lays out a directory in which the real Codex runs against the mock server: configuration, environment, command
// line. Codex gets the test authority through a certificate directory: SSL_CERT_FILE or CODEX_CA_CERTIFICATE would
// make it leave OpenSSL for rustls.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * @typedef {object} CodexRun
 * @property {string[]} command the program and its arguments
 * @property {string[]} flags of `codex exec`, whatever it is to do
 * @property {string} work the working directory
 * @property {Record<string, string>} env the whole environment, nothing is inherited but PATH
 * @property {string} codexHome
 * @property {string} apiKey a secret that is worth nothing, new in each run
 */

const KEY_VARIABLE = 'MOCK_API_KEY';

/**
 * What a run configures beside its provider.
 *
 * @typedef {object} Settings
 * @property {string} [model]
 * @property {Record<string, boolean>} [features]
 * @property {number} [streamRetries] of a provider of the configuration; Codex has 5 for its own
 * @property {string} [top] further lines of TOML in front of all tables
 * @property {string} [tables] further tables
 */

/**
 * @param {string} provider
 * @param {Settings} settings
 */
const configuration = (
  provider,
  { model = 'gpt-5.5', features = {}, top = '', tables = '' },
) => `model = "${model}"
check_for_update_on_startup = false
${top}
${provider}

[analytics]
enabled = false

[features]
plugins = false
apps = false
${Object.entries(features)
  .map(([name, on]) => `${name} = ${on}`)
  .join('\n')}
${tables}
`;

/**
 * @param {string} baseUrl
 * @param {Settings} settings
 */
const customProvider = (baseUrl, { streamRetries = 0, tables = '', ...settings }) =>
  configuration('model_provider = "mock"', {
    ...settings,
    tables: `
[model_providers.mock]
name = "mock"
base_url = ${JSON.stringify(baseUrl)}
wire_api = "responses"
env_key = "${KEY_VARIABLE}"
request_max_retries = 0
stream_max_retries = ${streamRetries}
${tables}`,
  });

/**
 * @param {string} baseUrl
 * @param {Settings} settings
 */
const builtInProvider = (baseUrl, settings) =>
  configuration(`openai_base_url = ${JSON.stringify(baseUrl)}`, settings);

/**
 * What a login with ChatGPT leaves behind: tokens that name an account and run out in ten years.
 *
 * @param {string} secret
 */
function chatGptLogin(secret) {
  const encode = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const account = {
    chatgpt_account_id: 'account-mock',
    chatgpt_plan_type: 'pro',
    chatgpt_user_id: 'user-mock',
  };
  const claims = {
    email: 'nobody@example.com',
    exp: Math.floor(Date.now() / 1000) + 315_360_000,
    'https://api.openai.com/auth': account,
  };
  const token = [encode({ alg: 'HS256', typ: 'JWT' }), encode(claims), secret].join('.');
  const tokens = {
    id_token: token,
    access_token: token,
    refresh_token: secret,
    account_id: account.chatgpt_account_id,
  };
  return { OPENAI_API_KEY: null, tokens, last_refresh: new Date().toISOString() };
}

/**
 * Prepares `codex exec` in a new `directory`: Codex's home, its working directory, its temporary files.
 *
 * @param {object} options
 * @param {string} options.codex the native binary
 * @param {string} options.directory
 * @param {Pick<import('./mock-responses.js').MockResponses, 'baseUrl' | 'identity'>} options.server
 * @param {string} options.prompt
 * @param {Record<string, string>} options.workspace files of the working directory, contents by name
 * @param {'custom' | 'built-in'} [options.provider] a provider of the configuration, over HTTP and OpenSSL; or Codex's
 *   own, over WebSocket and rustls
 * @param {boolean} [options.caVariable] name the test authority in CODEX_CA_CERTIFICATE, which makes Codex use rustls for
 *   HTTP too
 * @param {'key' | 'chatgpt'} [options.login] with ChatGPT, Codex's own provider compresses the requests that go over HTTP
 * @param {Settings} [options.settings]
 * @param {string} [options.traceRoot] where Codex's own tracer writes its bundle; without it the tracer is off
 * @returns {CodexRun}
 */
export function prepareCodexRun({
  codex,
  directory,
  server,
  prompt,
  workspace,
  provider = 'custom',
  caVariable = false,
  login = 'key',
  settings = {},
  traceRoot,
}) {
  const root = resolve(directory);
  const codexHome = join(root, 'codex-home');
  const work = join(root, 'workspace');
  const certificates = join(root, 'certificates');
  const temporary = join(root, 'tmp'); // Codex refuses to put helpers under a TMPDIR that holds its home
  for (const path of [codexHome, work, certificates, temporary]) mkdirSync(path, { recursive: true });

  const apiKey = `sk-mock-${randomBytes(24).toString('hex')}`;
  const configure = provider === 'custom' ? customProvider : builtInProvider;
  writeFileSync(join(codexHome, 'config.toml'), configure(server.baseUrl, settings));
  if (provider === 'built-in') {
    const auth = login === 'key' ? { OPENAI_API_KEY: apiKey } : chatGptLogin(apiKey);
    writeFileSync(join(codexHome, 'auth.json'), JSON.stringify(auth), { mode: 0o600 });
  }
  writeFileSync(join(certificates, server.identity.authorityFileName), server.identity.authority);
  for (const [name, contents] of Object.entries(workspace)) writeFileSync(join(work, name), contents);

  const flags = ['--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox'];
  return {
    command: [codex, 'exec', ...flags, '-C', work, '--', prompt],
    flags,
    work,
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: root,
      CODEX_HOME: codexHome,
      TMPDIR: temporary,
      LANG: 'C.UTF-8',
      ...(caVariable
        ? { CODEX_CA_CERTIFICATE: join(certificates, server.identity.authorityFileName) }
        : { SSL_CERT_DIR: certificates }),
      [KEY_VARIABLE]: apiKey,
      ...(traceRoot === undefined ? {} : { CODEX_ROLLOUT_TRACE_ROOT: resolve(traceRoot) }),
    },
    codexHome,
    apiKey,
  };
}
