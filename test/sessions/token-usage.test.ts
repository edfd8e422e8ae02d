import { describe, expect, it } from 'vitest';
import { noUsage, type TokenUsage, UsageMeter, usageAt } from '../../src/sessions/token-usage.js';

function tokens(input: number, output: number): TokenUsage {
  return { ...noUsage(), input_tokens: input, output_tokens: output, total_tokens: input + output };
}

describe('UsageMeter', () => {
  it('counts what the running total gained, and a repeated total once', () => {
    const meter = new UsageMeter(false);
    meter.count(tokens(100, 10), tokens(100, 10));
    meter.count(tokens(100, 10), tokens(100, 10));
    meter.count(tokens(250, 30), tokens(150, 20));
    expect(meter.used).toEqual(tokens(250, 30));
  });

  it('goes on from the last response where the running total starts again', () => {
    const meter = new UsageMeter(false);
    meter.count(tokens(1000, 50), tokens(1000, 50));
    meter.count(tokens(30, 5), tokens(30, 5));
    meter.count(tokens(90, 9), tokens(60, 4));
    expect(meter.used).toEqual(tokens(1090, 59));
  });

  it('leaves out the total that a fork begins with', () => {
    const copied = new UsageMeter(true);
    copied.inherit(tokens(400, 40));
    copied.inherit(tokens(500, 50));
    copied.count(tokens(620, 60), tokens(120, 10));
    expect(copied.used).toEqual(tokens(120, 10));

    const referred = new UsageMeter(true);
    referred.count(tokens(620, 60), tokens(120, 10));
    referred.count(tokens(700, 65), tokens(80, 5));
    expect(referred.used).toEqual(tokens(200, 15));
  });

  it('counts a response once when a record and a total tell of it', () => {
    const meter = new UsageMeter(false);
    meter.record(tokens(100, 10));
    meter.count(tokens(100, 10), tokens(100, 10));
    meter.record(tokens(50, 5));
    meter.record(tokens(60, 6));
    meter.count(tokens(210, 21), tokens(60, 6));
    expect(meter.used).toEqual(tokens(210, 21));
  });

  it('counts a response that never reached the total, as a compaction or a killed turn', () => {
    const meter = new UsageMeter(false);
    meter.count(tokens(100, 10), undefined);
    meter.record(tokens(30, 3));
    meter.count(tokens(100, 10), undefined);
    meter.record(tokens(40, 4));
    expect(meter.used).toEqual(tokens(170, 17));
  });
});

describe('usageAt', () => {
  it('takes counts only', () => {
    expect(usageAt({ info: { input_tokens: 5, output_tokens: -1, total_tokens: '7' } }, 'info')).toEqual({
      ...noUsage(),
      input_tokens: 5,
    });
    expect(usageAt({ info: null }, 'info')).toBeUndefined();
    expect(usageAt(undefined, 'info')).toBeUndefined();
  });
});
