import { expect, test } from 'vitest';
import { shellQuote } from '../../src/governance/shell-quote.js';
import { Redactor } from '../../src/interpret/redact.js';
import { redactArguments } from '../../src/interpret/redact-arguments.js';

const salt = new Uint8Array(32).fill(3);
const redactor = new Redactor(salt);
const mark = /\[redacted:[0-9a-f]{12}\]/g;
const secret = 'Pl4nted_x';
const replaced = redactor.secret(secret);

const json = (value: unknown): string => JSON.stringify(value);

/** Every form in which a command is written down: its name, and how it is told from what is around it. */
function places(argv: readonly string[]): Record<string, string> {
  const line = shellQuote(argv);
  const script = `cd /a; ${line}; ls -u x:y && ${line}|cat\n${line}\necho 'end'`;
  const lines = { line, script, continued: argv.map((one) => shellQuote([one])).join(' \\\n  ') };
  return {
    ...lines,
    'list of arguments': json(argv),
    'list over lines': JSON.stringify({ command: argv, cwd: '/' }, null, 2),
    'list of arguments within JSON': json({ arguments: json({ command: argv, workdir: '/' }) }),
    ...Object.fromEntries(
      Object.entries(lines).flatMap(([name, text]) => [
        [`${name}, tool arguments`, json({ cmd: text, workdir: '/', x: '-u x:y' })],
        [`${name}, tool arguments within JSON`, json({ arguments: json({ cmd: text, workdir: '/' }) })],
        [`${name}, of a shell`, json(['bash', '-lc', text])],
        [`${name}, output`, json({ output: `+ ${text}\nok` })],
      ]),
    ),
  };
}

test.each([
  ['true', '--password', secret],
  ['true', `--password=${secret}`],
  ['true', '--token', secret],
  ['true', '--api-key', secret, '--verbose'],
  ['true', '--secret', secret],
  ['true', '--client-secret', secret],
  ['curl', '-H', `Authorization: Bearer ${secret}`, 'http://host.test/'],
  ['curl', '--header', `X-Api-Key: ${secret}`],
  ['curl', '-u', `user:${secret}`, 'http://host.test/?a=1&b=2'],
  ['curl', '-su', `user:${secret}`],
  ['/usr/bin/curl', '-H', 'Accept: a; q=1', '--user', `user:${secret}`, '-v'],
  ['curl', `-uuser:${secret}`],
  ['curl', '-o', '/tmp/a', '-d', '{"a": 1}', '--proxy-user', `user:${secret}`],
  ['wget', `--password=${secret}`, 'http://host.test/'],
  ['wget', '--user=me', `--http-password=${secret}`],
  ['mysql', '-u', 'root', `-p${secret}`, 'db'],
  ['mysqldump', `--password=${secret}`, 'db'],
  ['sshpass', '-p', secret, 'ssh', '-p', '22', 'host'],
  ['sshpass', `-p${secret}`, 'scp', '-p', 'a', 'host:b'],
  ['env', `PGPASSWORD=${secret}`, 'psql', '-p', '5432'],
  ['env', `MYSQL_PWD=${secret}`, 'mysql'],
  ['docker', 'run', '-e', `DB_PASSWORD=${secret}`, 'image'],
  ['docker', 'login', '-u', 'me', '-p', secret, 'host.test'],
  ['redis-cli', '-a', secret, 'ping'],
  ['sudo', '-u', 'me:us', 'curl', '-u', `user:${secret}`],
])('%s %s %s %s %s: the secret alone, wherever it stands', (...argv) => {
  const expected = argv.map((argument) => argument.replace(secret, replaced));
  expect(redactArguments(argv, redactor)).toEqual(expected);
  for (const [place, text] of Object.entries(places(argv))) {
    expect(`${place}: ${redactor.text(text)}`).toBe(`${place}: ${text.replaceAll(secret, replaced)}`);
    const nested = ['/bin/sh', '-c', text];
    expect(redactArguments(nested, redactor)).toEqual(['/bin/sh', '-c', text.replaceAll(secret, replaced)]);
  }
});

test.each([
  ['mkdir', '-p', 'directory'],
  ['cp', '-p', 'first-file', 'second-file'],
  ['ssh', '-p', '22', 'user@host.test'],
  ['docker', 'run', '-p', '80:80', '--name', 'mysql', '-p3306:3306', '-u', '1000:1000', 'image'],
  ['ls', '-u', 'x:y'],
  ['git', 'push', '-u', 'origin', 'main:main'],
  ['chown', '-R', 'user:group', '/directory'],
  ['sort', '--key', '2,3', '--key=1,1'],
  ['mysql', '-u', 'root', '-p', 'database'],
  ['mysql', '-P', '3306', '-h', 'host.test'],
  ['curl', '-o', 'user:file', '-sSfL', 'http://host.test:80/a'],
  ['curl', '-u', 'user', 'http://host.test:80/'],
  ['docker', 'login', '--password-stdin', '--username', 'somebody'],
  ['sshpass', '-e', 'ssh', '-p', '2222', 'host.test'],
  ['sshpass', '-f', 'file', 'ssh', '-p', '2222', 'host.test'],
  ['wget', '--user=somebody', '--max-tokens', '100000', 'http://host.test/'],
  ['true', '--token', '--verbose'],
  ['zip', '-r', 'archive.zip', 'directory'],
])('%s %s %s %s stays', (...argv) => {
  expect(redactArguments(argv, redactor)).toEqual(argv);
  for (const text of Object.values(places(argv))) {
    expect(redactor.text(text)).toBe(text);
  }
});

test('an argument is a secret as a whole, a word of the shell up to its end', () => {
  const whole = 'a b;"c\'\\';
  expect(redactArguments(['x', '--password', whole], redactor)[2]).toBe(redactor.secret(whole));
  expect(redactArguments(['sh', '-c', 'PGPASSWORD=x psql -h a'], redactor)[2]?.replace(mark, '…')).toBe(
    'PGPASSWORD=… psql -h a',
  );
  for (const end of [';ls', '&', '|cat', ')', ' -v', '>a', '\nls']) {
    for (const before of ['--password ', '--password=', 'curl -u me:', 'PGPASSWORD=', 'mysql -p']) {
      expect(redactor.text(`${before}${secret}${end}`)).toBe(`${before}${replaced}${end}`);
    }
  }
  for (const before of ['--password ', '--password=', 'curl -u me:', 'PGPASSWORD=', 'mysql -p']) {
    for (const text of [`${before}$PASSWORD`, `${before}"$PASSWORD"`]) expect(redactor.text(text)).toBe(text);
    for (const quote of ['"', "'"]) {
      const text = json({ cmd: `${before}${quote}two words;${quote};ls`, b: 'c' });
      expect(JSON.parse(redactor.text(text).replace(mark, '…')).cmd).toBe(`${before}${quote}…${quote};ls`);
    }
  }
});

test('JSON stays JSON where a command is cut off', () => {
  for (const command of [
    'curl -u ',
    'curl -u a:',
    'mysql -p',
    'x --password ',
    'x --password=',
    'PGPASSWORD=',
  ]) {
    for (const tail of ['', ' ', '"', '\\"', "'", '\n', '\\']) {
      for (const space of [undefined, 2]) {
        const value = [{ cmd: command + tail, b: ', c: d' }, command + tail, 'next-in-list', '-p'];
        for (const inner of [
          value,
          JSON.stringify(value, null, space),
          JSON.stringify(JSON.stringify(value)),
        ]) {
          expect(() => JSON.parse(redactor.text(JSON.stringify(inner, null, space)))).not.toThrow();
        }
      }
    }
  }
});

test('what was replaced stays, and secrets are kept on demand', () => {
  const argv = ['curl', '-u', `user:${secret}`, '--token', secret];
  const safe = redactArguments(argv, redactor);
  const { count } = redactor;
  expect(redactArguments(safe, redactor)).toEqual(safe);
  for (const text of Object.values(places(safe))) expect(redactor.text(text)).toBe(text);
  expect(redactor.count).toBe(count);
  const keeping = new Redactor(salt, { keepsSecrets: true });
  expect(redactArguments(argv, keeping)).toEqual(argv);
  expect(keeping.text(argv.join(' '))).toBe(argv.join(' '));
});

test('hostile repetition is read in one go', () => {
  for (const piece of [
    'curl ',
    "curl '",
    'curl "',
    'curl -u a:',
    'mysql -p"',
    '--a-',
    '--token "',
    'zip\\"',
    'curl \\n',
  ]) {
    expect(redactor.text(piece.repeat(50_000)).length).toBeGreaterThan(0);
    expect(redactArguments(Array<string>(50_000).fill(piece.trim()), redactor)).toHaveLength(50_000);
  }
});
