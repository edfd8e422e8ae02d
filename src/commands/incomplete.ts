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

/** Notes on what a capture did not see, and the exit code of a result in which requests may be missing. */
export async function tellUnseen(bundle: string): Promise<void> {
  const { captureJsonPath, unseenPrograms } = await import('../evidence/capture-json.js');
  const { listedFaults } = await import('../reduce/interpretation-anomalies.js');
  const { counted } = await import('../render/counted.js');
  const { note } = await import('../render/notes.js');
  const { stripControl } = await import('../render/terminal.js');
  const tell = (text: string): void => {
    note(stripControl(`agsight: ${text}`));
    process.exitCode = ExitCode.incomplete;
  };
  for (const { program, connections } of unseenPrograms(bundle)) {
    const see = `see unseen_tls in ${captureJsonPath(bundle)}`;
    tell(`${program}: ${counted(connections, 'TLS connection')} not seen (${see})`);
  }
  const faults = await listedFaults(bundle);
  if (faults !== undefined) tell(`${bundle}: ${faults.summary} (see ${faults.see})`);
}
