// One command line of an argument vector, such that a POSIX shell makes the same vector of it again.

const plain = /^[\w@%+=:,./-]+$/;

export function shellQuote(argv: readonly string[]): string {
  return argv
    .map((argument) => (plain.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`))
    .join(' ');
}
