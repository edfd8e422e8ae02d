import { afterAll, describe, expect, it } from 'vitest';
import { BinaryFile } from '../../src/elf/file.js';
import { maxPlaces, search } from '../../src/elf/search.js';
import { openWorkshop } from './build.js';

describe('search', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  const needle = Buffer.from('needle');
  const other = Buffer.from('ed');

  it('finds a needle once wherever the border of two windows falls', () => {
    for (let place = 0; place <= 40; place++) {
      const bytes = Buffer.alloc(46, '-');
      needle.copy(bytes, place);
      const file = BinaryFile.open(workshop.write('hay', bytes));
      for (let window = 1; window <= 48; window++) {
        const places = search(file, [{ offset: 0, length: file.size, needles: [other, needle] }], window);
        expect(places.get(needle)).toEqual([place]);
        expect(places.get(other)).toEqual([place + 2]);
      }
      file.close();
    }
  });

  it('finds needles that overlap themselves', () => {
    const file = BinaryFile.open(workshop.write('overlap', 'aaaa'));
    const twice = Buffer.from('aa');
    expect(search(file, [{ offset: 0, length: 4, needles: [twice] }], 2).get(twice)).toEqual([0, 1, 2]);
  });

  it('searches each range for its own needles and no byte outside of it', () => {
    const file = BinaryFile.open(workshop.write('ranges', 'needle ed needle ed needle'));
    const places = search(file, [
      { offset: 1, length: 8, needles: [other] },
      { offset: 10, length: 15, needles: [needle] },
    ]);
    expect(places.get(other)).toEqual([2, 7]);
    expect(places.get(needle)).toEqual([10]);
  });

  it('stops at its limit of places', () => {
    const file = BinaryFile.open(workshop.write('many', Buffer.alloc(3 * maxPlaces, 'ed')));
    const places = search(file, [{ offset: 0, length: file.size, needles: [other] }]);
    expect(places.get(other)).toHaveLength(maxPlaces);
  });
});
