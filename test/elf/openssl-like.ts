// Source of programs that are like those with a static OpenSSL or aws-lc where it matters: who reports errors under
// which name, and who calls whom with which arguments. Compiled by the tests, so that the answers are known.

/** Of OpenSSL's ssl_lib.c since 3.3. `file` is what __FILE__ was there. */
export const opensslSource = (file = 'ssl/ssl_lib.c') => `
  #include <stddef.h>
  #define HIDDEN __attribute__((noinline, visibility("hidden")))
  struct ssl { int type; int (*io)(struct ssl *, void *, size_t, size_t *); int (*handshake)(struct ssl *); };
  HIDDEN void report(const char *file, int line, const char *function) {
    __asm__ volatile("" : : "r"(file), "r"(line), "r"(function) : "memory");
  }
  #define ERROR(line) report("${file}", line, __func__)
  HIDDEN int ssl_read_internal(struct ssl *s, void *buf, size_t num, size_t *count) {
    if (s->io == NULL) { ERROR(2300); return -1; }
    if (s->type > 3) { ERROR(2310); return 0; }
    return s->io(s, buf, num, count);
  }
  int SSL_read(struct ssl *s, void *buf, int num) {
    size_t count;
    if (num < 0) { ERROR(2350); return -1; }
    int ret = ssl_read_internal(s, buf, (size_t)num, &count);
    return ret > 0 ? (int)count : ret;
  }
  int SSL_read_ex(struct ssl *s, void *buf, size_t num, size_t *count) {
    int ret = ssl_read_internal(s, buf, num, count);
    return ret < 0 ? 0 : ret;
  }
  HIDDEN int ssl_write_internal(struct ssl *s, const void *buf, size_t num, unsigned long flags, size_t *count) {
    if (s->io == NULL) { ERROR(2500); return -1; }
    if (flags > 1) { ERROR(2510); return -1; }
    return s->io(s, (void *)buf, num, count);
  }
  int SSL_write(struct ssl *s, const void *buf, int num) {
    size_t count;
    if (num < 0) { ERROR(2600); return -1; }
    int ret = ssl_write_internal(s, buf, (size_t)num, 0, &count);
    return ret > 0 ? (int)count : ret;
  }
  int SSL_write_ex2(struct ssl *s, const void *buf, size_t num, unsigned long flags, size_t *count) {
    int ret = ssl_write_internal(s, buf, num, flags, count);
    return ret < 0 ? 0 : ret;
  }
  int SSL_write_ex(struct ssl *s, const void *buf, size_t num, size_t *count) {
    return SSL_write_ex2(s, buf, num, 0, count);
  }
  int SSL_do_handshake(struct ssl *s) {
    if (s->handshake == NULL) { ERROR(4700); return -1; }
    return s->handshake(s);
  }
  /* Names functions without being them, as a table of error texts does. */
  const char *bystander(int i) { return i == 1 ? "SSL_do_handshake" : i == 2 ? "ssl_write_internal" : "SSL_read"; }
`;

/** Of aws-lc's aead.c. */
export const awslcSource = `
  #include <stddef.h>
  struct aead { int (*seal)(const void *, size_t); int (*open)(const void *, size_t); size_t overhead; };
  __attribute__((noinline)) void put_error(int library, int unused, int reason, const char *file, unsigned line) {
    __asm__ volatile("" : : "r"(library), "r"(unused), "r"(reason), "r"(file), "r"(line) : "memory");
  }
  #define PUT(reason) put_error(30, 0, reason, "/aws-lc-sys-0.30.0/aws-lc/crypto/fipsmodule/cipher/aead.c", __LINE__)
  int EVP_AEAD_CTX_seal(struct aead *a, unsigned char *out, size_t *out_len, size_t max, const void *in, size_t len) {
    if (len + a->overhead < len) { PUT(117); goto error; }
    if (max < len) { PUT(103); goto error; }
    if ((void *)out == in) { PUT(115); goto error; }
    return a->seal(in, len);
  error:
    *out_len = 0;
    return 0;
  }
  int EVP_AEAD_CTX_seal_scatter(struct aead *a, unsigned char *out, size_t *out_len, const void *in, size_t len) {
    if ((void *)out == in) { PUT(115); goto error; }
    if (a->seal == NULL) { PUT(112); goto error; }
    return a->seal(in, len);
  error:
    *out_len = 0;
    return 0;
  }
  int EVP_AEAD_CTX_open(struct aead *a, unsigned char *out, size_t *out_len, size_t max, const void *in, size_t len) {
    if ((void *)out == in) { PUT(115); goto error; }
    if (len < a->overhead) { PUT(101); goto error; }
    if (max < len) { PUT(103); goto error; }
    return a->open(in, len);
  error:
    *out_len = 0;
    return 0;
  }
`;

export const mainSource = 'int main(void) { return 0; }';
