/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bring all registers of the x87, SSE and AVX units back to their initial state. */
#ifndef INITIAL_H
#define INITIAL_H

static const unsigned int initial_mxcsr = 0x1f80;

static inline void make_initial(void)
{
	__asm__ volatile("fninit\n\tvzeroall\n\tldmxcsr %0" :: "m"(initial_mxcsr));
}

#endif
