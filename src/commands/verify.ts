// `agsight verify BUNDLE`: options and output; the checks are evidence/verify.ts.

import { Command } from '../commander.js';
import type { VerifyReport } from '../evidence/verify.js';

export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'check the evidence of a capture: frames, checksums, checkpoints, stream gaps, losses, end, and that capture.json agrees',
    )
    .argument('<bundle>', 'directory that agsight capture wrote')
    .addHelpText(
      'after',
      '\nWhat agsight made of the evidence is not checked: agsight reduce makes it again where it is not there.\nExit codes: 0 all there and unchanged, 3 incomplete (lost, torn, no end), 1 altered or unreadable.',
    )
    .action(async (bundle: string, _options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { ExitCode } = await import('../errors.js');
      const { verifyBundle } = await import('../evidence/verify.js');
      const report = await verifyBundle(bundle);
      console.log(json === true ? JSON.stringify(report, null, 2) : await describe(report));
      process.exitCode = { ok: ExitCode.ok, incomplete: ExitCode.incomplete, altered: ExitCode.failed }[
        report.verdict
      ];
    });
}

const VERDICTS: Record<VerifyReport['verdict'], string> = {
  ok: 'ok: the evidence is all there and unchanged',
  incomplete: 'incomplete: what is there of the evidence is unchanged, and something is missing',
  altered: 'altered: the evidence, or capture.json beside it, is not what the capture wrote',
};

async function describe(report: VerifyReport): Promise<string> {
  const { counted } = await import('../render/counted.js');
  const { renderTable } = await import('../render/table.js');
  const { checkpoints, tls } = report;
  const lost = Object.values(report.loss).reduce((sum, events) => sum + events, 0);
  const summary = renderTable(
    ['Check', 'Found'],
    [
      ['segments', `${report.segments}`],
      ['bytes', `${report.bytes}`],
      ['frames', `${report.frames}`],
      ['checkpoints', `${checkpoints.matching} right, ${checkpoints.mismatching} wrong`],
      [
        'streams',
        [
          counted(tls.connections, 'connection'),
          counted(tls.bytes, 'byte'),
          counted(tls.gaps.length, 'gap'),
        ].join(', '),
      ],
      ['lost events', `${lost}`],
      ['end', report.end ?? 'none'],
      ['SHA-256', report.sha256 ?? 'not all bytes are readable'],
    ],
  );
  const parts = [VERDICTS[report.verdict], summary];
  if (report.findings.length > 0) {
    const rows = report.findings.map(({ kind, segment, place, detail }) => [
      kind,
      segment === undefined ? '' : `${segment} byte ${place ?? 0}`,
      detail,
    ]);
    parts.push(renderTable(['Finding', 'Place', 'Detail'], rows));
  }
  if (report.findingsOmitted > 0) parts.push(`… and ${report.findingsOmitted} more findings`);
  return parts.join('\n\n');
}
