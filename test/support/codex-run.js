// Lays out a directory in which the real Codex runs against the mock server: configuration, environment, command
// line. Codex gets the test authority through a certificate directory: SSL_CERT_FILE or CODEX_CA_CERTIFICATE would
// make it leave OpenSSL for rustls.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * @typedef {object} CodexRun
 * @property {string[]} command the program and its arguments
 * @property {Record<string, string>} env the whole environment, nothing is inherited but PATH
 * @property {string} codexHome
 * @property {string} apiKey a secret that is worth nothing, new in each run
 */

const KEY_VARIABLE = 'MOCK_API_KEY';

/** @param {string} baseUrl */
const configuration = (baseUrl) => `model = "gpt-5.5"
model_provider = "mock"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false

[model_providers.mock]
name = "mock"
base_url = ${JSON.stringify(baseUrl)}
wire_api = "responses"
env_key = "${KEY_VARIABLE}"
request_max_retries = 0
stream_max_retries = 0
`;

/**
 * Prepares `codex exec` in a new `directory`: Codex's home, its working directory, its temporary files.
 *
 * @param {object} options
 * @param {string} options.codex the native binary
 * @param {string} options.directory
 * @param {Pick<import('./mock-responses.js').MockResponses, 'baseUrl' | 'identity'>} options.server
 * @param {string} options.prompt
 * @param {Record<string, string>} options.workspace files of the working directory, contents by name
 * @param {string} [options.traceRoot] where Codex's own tracer writes its bundle; without it the tracer is off
 * @returns {CodexRun}
 */
export function prepareCodexRun({ codex, directory, server, prompt, workspace, traceRoot }) {
  const root = resolve(directory);
  const codexHome = join(root, 'codex-home');
  const work = join(root, 'workspace');
  const certificates = join(root, 'certificates');
  const temporary = join(root, 'tmp'); // Codex refuses to put helpers under a TMPDIR that holds its home
  for (const path of [codexHome, work, certificates, temporary]) mkdirSync(path, { recursive: true });

  writeFileSync(join(codexHome, 'config.toml'), configuration(server.baseUrl));
  writeFileSync(join(certificates, server.identity.authorityFileName), server.identity.authority);
  for (const [name, contents] of Object.entries(workspace)) writeFileSync(join(work, name), contents);

  const apiKey = `sk-mock-${randomBytes(24).toString('hex')}`;
  const flags = ['--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '-C', work];
  return {
    command: [codex, 'exec', ...flags, '--', prompt],
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: root,
      CODEX_HOME: codexHome,
      TMPDIR: temporary,
      LANG: 'C.UTF-8',
      SSL_CERT_DIR: certificates,
      [KEY_VARIABLE]: apiKey,
      ...(traceRoot === undefined ? {} : { CODEX_ROLLOUT_TRACE_ROOT: resolve(traceRoot) }),
    },
    codexHome,
    apiKey,
  };
}
