// Source of programs that are like those with ring where it matters: the tables of its algorithms. Compiled by the
// tests, so that the answers are known.

interface Like {
  version?: string;
  /** What AES-256-GCM opens with. */
  open256?: string;
  /** The number of ChaCha20-Poly1305. */
  chachaId?: number;
}

/** Has the tables of ring, and functions that are like none of it. */
export const ringSource = ({
  version = 'ring-0.17.14',
  open256 = 'aes_gcm_open',
  chachaId = 2,
}: Like = {}) => `
  #define HIDDEN __attribute__((noinline, visibility("hidden")))
  ${['init_128', 'init_256', 'aes_gcm_seal', 'aes_gcm_open', 'other_open', 'init_chacha', 'chacha20_poly1305_seal', 'chacha20_poly1305_open'].map((name, index) => `HIDDEN int ${name}(int *p) { return *p + ${index}; }`).join('\n')}
  typedef int (*function)(int *);
  struct algorithm { function init, seal, open; unsigned long key_length; unsigned char id; };
  const struct algorithm aes_128 = { init_128, aes_gcm_seal, aes_gcm_open, 16, 0 };
  const struct algorithm aes_256 = { init_256, aes_gcm_seal, ${open256}, 32, 1 };
  const struct algorithm chacha = { init_chacha, chacha20_poly1305_seal, chacha20_poly1305_open, 32, ${chachaId} };
  /* The tables of others: the same form, and functions that are none. */
  const struct algorithm decoy = { init_128, (function)(const void *)"text", aes_gcm_open, 16, 0 };
  const char place[] = "/registry/${version}/src/aead/algorithm.rs";
  const void *volatile keep[5];
  int main(void) {
    keep[0] = &aes_128; keep[1] = &aes_256; keep[2] = &chacha; keep[3] = &decoy; keep[4] = place;
    return 0;
  }
`;
