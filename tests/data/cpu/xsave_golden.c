// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load known values into every FPU register that this CPU has, and let the CPU itself write
 * them: FXSAVE64, XSAVE, XSAVEOPT, XSAVEC, FNSAVE, and the kernel's signal frame.
 *
 *	gcc -O1 -o xsave_golden xsave_golden.c && ./xsave_golden DIRECTORY
 *
 * writes DIRECTORY/SCENARIO-INSTRUCTION.bin and golden.json (the CPU, CPUID leaf 0xD, XCR0,
 * and the bytes that were loaded). Every area holds 0xa5 beforehand, except for its header,
 * so what an instruction leaves alone can be told from what it writes.
 *
 * Scenarios: "full" loads everything; "sse" makes all initial and loads xmm3.
 */
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILEDATA 18
#define AREA 16384
#define BARE __attribute__((target("general-regs-only"), noinline))

enum { FXSAVE, XSAVE, XSAVEOPT, XSAVEC, FNSAVE, SIGFRAME, KINDS };
static const char *const kind_names[] = {
	"fxsave64", "xsave", "xsaveopt", "xsavec", "fnsave", "sigframe"
};

static uint8_t area[KINDS][AREA] __attribute__((aligned(64)));
static size_t written[KINDS];

/* What is loaded; ST(6) first because pushing reverses. */
static const struct { uint64_t significand; uint16_t top; } __attribute__((packed)) st[7] = {
	{ 0x0000000000000400, 0x8000 },	/* ST(6): a negative denormal */
	{ 0x8000000000000000, 0xffff },	/* ST(5): minus infinity */
	{ 0xc000000000000123, 0x7fff },	/* ST(4): a quiet NaN with payload 0x123 */
	{ 0x8000000000000456, 0xffff },	/* ST(3): a signaling NaN with payload 0x456 */
	{ 0x0000000000000000, 0x8000 },	/* ST(2): minus zero */
	{ 0x9000000000000000, 0xc000 },	/* ST(1): -2.25 */
	{ 0xc90fdaa22168c235, 0x4000 },	/* ST(0): pi */
};
static const uint16_t fcw = 0x0b7f;	/* round up */
static const uint32_t mxcsr = 0x7fa0;	/* toward zero, PE, all masked */
static const uint32_t pkru = 0x55555558;
static uint8_t zmm[32][64] __attribute__((aligned(64)));
static uint64_t opmask[8];
static uint8_t tilecfg[64] __attribute__((aligned(64)));
static uint8_t tile[2][16][64] __attribute__((aligned(64)));

static uint64_t bounds[4][2];	/* as they lie in memory: lower, one's complement of upper */

static uint64_t xcr0;
static int have_xsaveopt, have_xsavec, have_avx, have_mpx, have_avx512, have_pkru, have_amx;

static void probe(void)
{
	uint32_t a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE)) {
		fprintf(stderr, "xsave_golden: this CPU or kernel has no XSAVE\n");
		exit(2);
	}
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	xcr0 = (uint64_t)d << 32 | a;
	__cpuid_count(0xd, 1, a, b, c, d);
	have_xsaveopt = a & 1;
	have_xsavec = a >> 1 & 1;
	have_avx = xcr0 >> 2 & 1;
	have_mpx = (xcr0 >> 3 & 3) == 3;
	have_avx512 = (xcr0 >> 5 & 7) == 7;
	have_pkru = xcr0 >> 9 & 1;
	have_amx = (xcr0 >> 17 & 3) == 3 &&
		syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILEDATA) == 0;
}

static void make_values(void)
{
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 64; j++)
			zmm[i][j] = (uint8_t)(i * 8 + j * 3 + 1);
	for (int i = 0; i < 8; i++)
		opmask[i] = 0x0123456789abcdefULL * (uint64_t)(i + 1);
	for (uint64_t i = 0; i < 4; i++) {
		bounds[i][0] = 0x1000 * (i + 1);
		bounds[i][1] = ~(0x1000 * (i + 1) + 0xfff + i);
	}
	tilecfg[0] = 1;
	tilecfg[16] = 64;	/* tmm0: 16 rows of 64 bytes */
	tilecfg[48] = 16;
	tilecfg[18] = 20;	/* tmm1: 5 rows of 20 bytes */
	tilecfg[49] = 5;
	for (int row = 0; row < 16; row++)
		for (int j = 0; j < 64; j++) {
			tile[0][row][j] = (uint8_t)(row * 16 + j + 1);
			tile[1][row][j] = row < 5 && j < 20 ? (uint8_t)(row * 20 + j + 1) : 0;
		}
}

#define LOAD_XMM(n) __asm__ volatile("movdqu %0, %%xmm" #n : : "m"(zmm[n]))
#define LOAD_YMM(n) __asm__ volatile("vmovdqu %0, %%ymm" #n : : "m"(zmm[n]))
#define LOAD_ZMM(n) __asm__ volatile("vmovdqu64 %0, %%zmm" #n : : "m"(zmm[n]))
#define LOAD_K(n) __asm__ volatile("kmovq %0, %%k" #n : : "m"(opmask[n]))
#define EIGHT(m) m(0); m(1); m(2); m(3); m(4); m(5); m(6); m(7)
#define EIGHT_MORE(m) m(8); m(9); m(10); m(11); m(12); m(13); m(14); m(15)
#define SIXTEEN_HIGH(m) m(16); m(17); m(18); m(19); m(20); m(21); m(22); m(23); \
	m(24); m(25); m(26); m(27); m(28); m(29); m(30); m(31)

/*
 * BNDMK takes base and size minus 1. It is a no-op until BNDCFGU.EN is set, which XRSTOR does;
 * BNDPRESERVE beside it, or the next return would make the bounds initial.
 */
static BARE void load_bounds(void)
{
	static uint8_t enable[AREA] __attribute__((aligned(64)));
	uint32_t size, offset, flags, ignored;

	__cpuid_count(0xd, 4, size, offset, flags, ignored);
	enable[512] = 1 << 4;
	enable[offset] = 3;
	__asm__ volatile("xrstor64 %0" : : "m"(enable), "a"(1 << 4), "d"(0));
	__asm__ volatile("bndmk 0xfff(%0), %%bnd0" : : "r"(0x1000L));
	__asm__ volatile("bndmk 0x1000(%0), %%bnd1" : : "r"(0x2000L));
	__asm__ volatile("bndmk 0x1001(%0), %%bnd2" : : "r"(0x3000L));
	__asm__ volatile("bndmk 0x1002(%0), %%bnd3" : : "r"(0x4000L));
}

/* Nothing between load and save may be C that uses the FPU: hence BARE. */
static BARE void load_full(void)
{
	__asm__ volatile("fninit; fldcw %0" : : "m"(fcw));
	for (int i = 0; i < 7; i++)
		__asm__ volatile("fldt %0" : : "m"(st[i]));
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	EIGHT(LOAD_XMM);
	EIGHT_MORE(LOAD_XMM);
	if (have_avx) {
		EIGHT(LOAD_YMM);
		EIGHT_MORE(LOAD_YMM);
	}
	if (have_mpx)
		load_bounds();
	if (have_avx512) {
		EIGHT(LOAD_ZMM);
		EIGHT_MORE(LOAD_ZMM);
		SIXTEEN_HIGH(LOAD_ZMM);
		EIGHT(LOAD_K);
	}
	if (have_pkru)
		__asm__ volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0));
	if (have_amx) {
		__asm__ volatile("ldtilecfg %0" : : "m"(tilecfg));
		__asm__ volatile("tileloadd (%0,%1,1), %%tmm0" : : "r"(tile[0]), "r"(64L));
		__asm__ volatile("tileloadd (%0,%1,1), %%tmm1" : : "r"(tile[1]), "r"(64L));
	}
}

/* XRSTOR from an area whose XSTATE_BV is 0 makes all components initial; MXCSR it loads. */
static BARE void load_sse(void)
{
	static uint8_t initial[AREA] __attribute__((aligned(64))) = { [24] = 0x80, [25] = 0x1f };

	__asm__ volatile("xrstor64 %0" : : "m"(initial), "a"((uint32_t)xcr0),
			 "d"((uint32_t)(xcr0 >> 32)));
	LOAD_XMM(3);
}

static BARE void save_all(void)
{
	uint32_t low = (uint32_t)xcr0, high = (uint32_t)(xcr0 >> 32);

	__asm__ volatile("fxsave64 %0" : "+m"(area[FXSAVE]));
	__asm__ volatile("xsave64 %0" : "+m"(area[XSAVE]) : "a"(low), "d"(high));
	if (have_xsaveopt)
		__asm__ volatile("xsaveopt64 %0" : "+m"(area[XSAVEOPT]) : "a"(low), "d"(high));
	if (have_xsavec)
		__asm__ volatile("xsavec64 %0" : "+m"(area[XSAVEC]) : "a"(low), "d"(high));
}

static BARE void signal_and_fnsave(void)
{
	long result, pid;

	__asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_getpid) : "rcx", "r11", "memory");
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_kill), "D"(pid), "S"(SIGUSR1)
			 : "rcx", "r11", "memory");
	__asm__ volatile("fnsave %0" : "+m"(area[FNSAVE]));
}

static BARE void on_signal(int number, siginfo_t *info, void *context)
{
	const uint8_t *frame = (const uint8_t *)((ucontext_t *)context)->uc_mcontext.fpregs;
	const uint32_t *software = (const uint32_t *)(frame + 464);
	size_t size = software[0] == 0x46505853 ? software[1] : 512;

	(void)number;
	(void)info;
	for (size_t i = 0; i < size && i < AREA; i++)
		((volatile uint8_t *)area[SIGFRAME])[i] = frame[i];
	written[SIGFRAME] = size;
}

static void write_images(const char *directory, const char *scenario)
{
	for (int kind = 0; kind < KINDS; kind++) {
		char path[4096];
		FILE *file;

		if (!written[kind])
			continue;
		snprintf(path, sizeof(path), "%s/%s-%s.bin", directory, scenario, kind_names[kind]);
		file = fopen(path, "wb");
		if (!file || fwrite(area[kind], 1, written[kind], file) != written[kind] ||
		    fclose(file)) {
			perror(path);
			exit(1);
		}
	}
}

static void run(const char *directory, const char *scenario, void (*load)(void))
{
	uint32_t a, b, c, d, compacted = 576;

	__cpuid_count(0xd, 0, a, b, c, d);
	for (int i = 2; i < 63; i++) {
		uint32_t size, offset, flags, ignored;

		__cpuid_count(0xd, i, size, offset, flags, ignored);
		if (xcr0 >> i & 1)
			compacted = (flags & 2 ? (compacted + 63) & ~63U : compacted) + size;
	}
	memset(area, 0xa5, sizeof(area));
	for (int kind = XSAVE; kind <= XSAVEC; kind++)
		memset(area[kind] + 512, 0, 64);
	written[FXSAVE] = 512;
	written[XSAVE] = b;
	written[XSAVEOPT] = have_xsaveopt ? b : 0;
	written[XSAVEC] = have_xsavec ? compacted : 0;
	written[FNSAVE] = 108;
	load();
	save_all();
	signal_and_fnsave();
	write_images(directory, scenario);
}

static void print_bytes(FILE *file, const char *name, int index, const void *data, size_t size)
{
	static const char *comma = "";

	if (index < 0)
		fprintf(file, "%s\n  \"%s\": \"", comma, name);
	else
		fprintf(file, "%s\n  \"%s%d\": \"", comma, name, index);
	for (size_t i = 0; i < size; i++)
		fprintf(file, "%02x", ((const uint8_t *)data)[i]);
	fprintf(file, "\"");
	comma = ",";
}

static void print_loaded(FILE *file)
{
	int wide = have_avx512 ? 64 : have_avx ? 32 : 16;

	print_bytes(file, "fcw", -1, &fcw, 2);
	print_bytes(file, "mxcsr", -1, &mxcsr, 4);
	for (int i = 0; i < 7; i++)
		print_bytes(file, "st", i, &st[6 - i], 10);
	for (int i = 0; i < (have_avx512 ? 32 : 16); i++)
		print_bytes(file, have_avx512 ? "zmm" : have_avx ? "ymm" : "xmm", i, zmm[i], wide);
	for (int i = 0; have_avx512 && i < 8; i++)
		print_bytes(file, "k", i, &opmask[i], 8);
	for (int i = 0; have_mpx && i < 4; i++)
		print_bytes(file, "bnd", i, bounds[i], 16);
	if (have_pkru)
		print_bytes(file, "pkru", -1, &pkru, 4);
	if (have_amx) {
		print_bytes(file, "tilecfg", -1, tilecfg, 64);
		print_bytes(file, "tmm", 0, tile[0], 1024);
		print_bytes(file, "tmm", 1, tile[1], 1024);
	}
}

static void print_json(FILE *file)
{
	uint32_t name[13] = { 0 }, size, offset, flags, ignored;
	const char *comma = "";

	for (int i = 0; i < 3; i++)
		__cpuid(0x80000002 + i, name[4 * i], name[4 * i + 1], name[4 * i + 2],
			name[4 * i + 3]);
	fprintf(file, "{\n \"cpu\": \"%s\",\n \"xcr0\": %llu,\n \"cpuid_0xd\": {", (char *)name,
		(unsigned long long)xcr0);
	for (int i = 2; i < 63; i++) {
		__cpuid_count(0xd, i, size, offset, flags, ignored);
		if (!(xcr0 >> i & 1))
			continue;
		fprintf(file, "%s\n  \"%d\": {\"size\": %u, \"offset\": %u, \"align\": %u}", comma, i,
			size, offset, flags >> 1 & 1);
		comma = ",";
	}
	fprintf(file, "\n },\n \"loaded\": {");
	print_loaded(file);
	fprintf(file, "\n }\n}\n");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	char path[4096];
	FILE *file;

	if (argc != 2) {
		fprintf(stderr, "usage: xsave_golden DIRECTORY\n");
		return 2;
	}
	probe();
	make_values();
	sigaction(SIGUSR1, &action, NULL);
	run(argv[1], "full", load_full);
	run(argv[1], "sse", load_sse);
	snprintf(path, sizeof(path), "%s/golden.json", argv[1]);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		return 1;
	}
	print_json(file);
	return fclose(file) ? 1 : 0;
}
