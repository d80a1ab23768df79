/* What code for 32-bit ARM asks of GCC's or zig's library, so that the shared library needs none.
 *
 * Nobody throws through C: the tables for unwinding are never read. A core without an instruction
 * to divide (Cortex-A9) divides bit by bit, here and there in an index. */
#include <stdint.h>

void __aeabi_unwind_cpp_pr0(void) {}
void __aeabi_unwind_cpp_pr1(void) {}

uint32_t __aeabi_uidiv(uint32_t a, uint32_t b) {
  uint32_t quotient = 0, rest = 0;
  for (int bit = 31; bit >= 0; --bit) {
    rest = rest << 1 | (a >> bit & 1);
    if (rest >= b) rest -= b, quotient |= UINT32_C(1) << bit;
  }
  return quotient;
}

int32_t __aeabi_idiv(int32_t a, int32_t b) {
  uint32_t x = a < 0 ? -(uint32_t)a : (uint32_t)a, y = b < 0 ? -(uint32_t)b : (uint32_t)b;
  uint32_t quotient = __aeabi_uidiv(x, y);
  return (int32_t)((a < 0) != (b < 0) ? -quotient : quotient);
}
