import { describe, expect, it } from 'vitest';
import { compareClocks } from '../../src/sessions/clocks.js';
import { recorded, scanFile } from './rollouts.js';

const ID = '01a1f8e4-b090-78c2-897b-228849f1b9c6';
const NAME = '2026-11-20T12:18:19';
const META = '2026-11-20T12:18:19.411Z';

describe('compareClocks', () => {
  it('takes any time zone for the name, and tells it', () => {
    const zone = (name: string) => {
      const { clocks, warnings } = compareClocks(name, ID, META);
      expect(warnings).toEqual([]);
      return clocks.utc_offset_minutes;
    };
    expect(zone(NAME)).toBe(0);
    expect(zone('2026-11-20T14:18:19')).toBe(120);
    expect(zone('2026-11-20T18:03:19')).toBe(345);
    expect(zone('2026-11-20T00:18:20')).toBe(-720);
    expect(zone('2026-11-21T02:18:19')).toBe(840);
  });

  it.each([
    [
      'a minute that no zone explains',
      '2026-11-20T12:25:19',
      ID,
      META,
      /no time zone makes 2026-11-20T12:25:19/,
    ],
    ['a day that no zone explains', '2026-11-22T12:18:19', ID, META, /no time zone/],
    [
      'an id of another time',
      NAME,
      '01a1f8e8-fc40-7de0-9add-73d4869062ef',
      META,
      /the thread id was made at .*12:23:00/,
    ],
    ['a first line of another time', NAME, ID, '2026-11-20T12:16:00Z', /first line at 2026-11-20T12:16:00Z/],
    ['a day in an old name', '2026-11-18', ID, META, /no time zone makes 2026-11-18/],
  ])('warns of %s', (_, name, id, meta, warning) => {
    expect(compareClocks(name, id, meta).warnings).toContainEqual(expect.stringMatching(warning));
  });

  it('says nothing of clocks that are not there', () => {
    const random = '8d3c7b1e-5a43-4f0b-9a51-1f6c2f6d9e01';
    expect(compareClocks(undefined, random, undefined)).toEqual({
      clocks: { file_name: null, thread_id: null, session_meta: null, utc_offset_minutes: null },
      warnings: [],
    });
    expect(compareClocks('2026-11-20', ID, META).warnings).toEqual([]);
    expect(compareClocks(NAME, random, META)).toMatchObject({
      clocks: { utc_offset_minutes: 0 },
      warnings: [],
    });
  });

  it('finds the clocks of recorded rollouts in agreement', () => {
    for (const run of ['0.142.0/agents', '0.169.0/fork', '0.169.0/review', '0.169.0/resume']) {
      for (const path of recorded(run)) expect(scanFile(path)?.clocks.utc_offset_minutes).toBe(0);
    }
  });
});
