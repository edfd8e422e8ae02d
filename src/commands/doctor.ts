// `agsight doctor`: options and output; the checks are host/checks.ts and host/examine-program.ts.

import { Command } from '../commander.js';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what this host allows a capture, and how the TLS of programs would be captured')
    .argument('[program...]', 'programs by path, name or pid')
    .addHelpText(
      'after',
      '\nExit codes: 0 capture can run, and sees TLS of each program; 1 it cannot, or sees none of one.',
    )
    .action(async (names: string[], _options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { ExitCode } = await import('../errors.js');
      const { canCapture, examineHost } = await import('../host/checks.js');
      const { examinePrograms } = await import('../host/examine-program.js');
      const checks = await examineHost();
      const programs = examinePrograms(names);
      const capture = canCapture(checks);
      if (json === true) {
        console.log(JSON.stringify({ capture, checks, programs }, null, 2));
      } else {
        const { renderTable } = await import('../render/table.js');
        const rows = await import('../render/doctor-rows.js');
        const parts = [
          capture ? 'capture can run here' : 'capture cannot run here',
          renderTable(rows.CHECK_HEAD, checks.map(rows.checkRow)),
        ];
        if (programs.length > 0)
          parts.push(renderTable(rows.PROGRAM_HEAD, programs.flatMap(rows.programRows)));
        console.log(parts.join('\n\n'));
      }
      const isFine = capture && programs.every(({ verdict }) => verdict !== 'no');
      process.exitCode = isFine ? ExitCode.ok : ExitCode.failed;
    });
}
