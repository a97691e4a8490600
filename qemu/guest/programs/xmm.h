/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Load and store xmm0 to xmm7, which 32-bit programs have too: 16 bytes each, xmm0 first. */
#ifndef XMM_H
#define XMM_H

#define XMM_COUNT 8
#define XMM_SIZE 16

#define EACH_XMM(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7)
#define LOAD_XMM(i) "	movdqu	16*" #i "(%[from]), %%xmm" #i "\n"
#define STORE_XMM(i) "	movdqu	%%xmm" #i ", 16*" #i "(%[to])\n"
#define LOAD_LOW_XMM EACH_XMM(LOAD_XMM)
#define STORE_LOW_XMM EACH_XMM(STORE_XMM)

#endif
