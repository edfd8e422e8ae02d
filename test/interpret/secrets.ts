// Secrets of every kind that is known, worth nothing. Assembled here, so that no scanner takes this file for a leak.

const letters = (count: number, seed: number): string =>
  Array.from({ length: count }, (_, index) => 'aB3dE5gH7jK9'[(index * seed + seed) % 12]).join('');

const pem = (name: string) => {
  const lines = [letters(64, 5), letters(64, 7), letters(20, 11)];
  return [`-----BEGIN ${name}-----`, ...lines, `-----END ${name}-----`].join('\n');
};

/** By name: what is written, and the parts of it that must not be seen. */
export const SECRETS: Readonly<Record<string, { written: string; hidden: string[] }>> = Object.fromEntries(
  Object.entries({
    'OpenAI key': whole(`sk-proj-${letters(40, 5)}`),
    'Anthropic key': whole(`sk-ant-api03-${letters(40, 7)}`),
    'GitHub token': whole(`ghp_${letters(36, 11)}`),
    'fine-grained GitHub token': whole(`github_pat_${letters(60, 5)}`),
    'GitLab token': whole(`glpat-${letters(20, 7)}`),
    'Slack token': whole(`xoxb-${letters(24, 11)}`),
    'Google key': whole(`AIza${letters(35, 5)}`),
    'JSON web token': whole(`eyJ${letters(20, 7)}.eyJ${letters(30, 5)}.${letters(43, 11)}`),
    'AWS key id': whole(`AKIA${'IOSFODNN7EXAMPLE'}`),
    'AWS secret': part('aws_secret_access_key = ', `${letters(20, 5)}/${letters(19, 7)}`),
    'bearer token': part('Authorization: Bearer ', letters(32, 7)),
    'basic authorization': part('authorization: Basic ', `${letters(24, 5)}==`),
    cookie: part('Cookie: ', `session=${letters(24, 7)}; theme=${letters(9, 5)}`),
    'cookie that is set': part('< Set-Cookie: ', `sid=${letters(24, 11)}; Path=/; HttpOnly`),
    'x-api-key': part('x-api-key: ', letters(20, 5)),
    'account id': part('chatgpt-account-id: ', `acct-${letters(12, 7)}`),
    'key in a query': part('GET /v1/models?api_key=', letters(20, 11)),
    'token in a URL': part('https://host.test/a?x=1&access_token=', letters(20, 5)),
    'password in a URL': {
      written: `postgres://me:${letters(12, 7)}@host.test/db`,
      hidden: [letters(12, 7)],
    },
    'environment variable': part('export DATABASE_PASSWORD=', `p@ss${letters(8, 5)}`),
    'API key variable': part('OPENAI_API_KEY=', letters(20, 7)),
    'member of JSON': { written: `{"client_secret": "${letters(18, 5)}"}`, hidden: [letters(18, 5)] },
    'quoted password': {
      written: `password: "correct$(horse)${letters(4, 7)}"`,
      hidden: ['correct$(horse)'],
    },
    'command line flag': part('--api-key ', letters(18, 11)),
    'private key': {
      written: pem('RSA PRIVATE KEY'),
      hidden: [letters(64, 5), letters(64, 7), letters(20, 11)],
    },
  }),
);

function whole(secret: string) {
  return { written: secret, hidden: [secret] };
}

function part(before: string, secret: string) {
  return {
    written: `${before}${secret}`,
    hidden: secret
      .split('; ')
      .slice(0, 1)
      .map((one) => one.replace(/^(?:session|sid)=/, '')),
  };
}
