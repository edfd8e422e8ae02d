// What commands that tell of a capture's evidence say when it does not hold everything.

import { ExitCode } from '../errors.js';

/** One note, and the exit code of a result that is incomplete. */
export async function tellIncomplete(bundle: string): Promise<void> {
  const { note } = await import('../render/notes.js');
  note(
    `agsight: ${bundle}: events were lost, or the evidence is damaged, gone or has no end (see agsight verify)`,
  );
  process.exitCode = ExitCode.incomplete;
}
