/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Load and store all sixteen ymm registers: 32 bytes each, ymm0 first. */
#ifndef YMM_H
#define YMM_H

#define YMM_COUNT 16
#define YMM_SIZE 32

#define EACH_YMM(OP)									\
	OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7)					\
	OP(8) OP(9) OP(10) OP(11) OP(12) OP(13) OP(14) OP(15)
#define LOAD_YMM(i) "	vmovdqu	32*" #i "(%[from]), %%ymm" #i "\n"
#define STORE_YMM(i) "	vmovdqu	%%ymm" #i ", 32*" #i "(%[to])\n"
#define LOAD_ALL_YMM EACH_YMM(LOAD_YMM)
#define STORE_ALL_YMM EACH_YMM(STORE_YMM)

#endif
