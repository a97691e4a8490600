// SPDX-License-Identifier: GPL-2.0-or-later
// Types with what is hard about layouts, and a program that prints what the compiler made of them:
// lines of `TYPE MEMBER OFFSET SIZE`, the size of a type with MEMBER `-`, a bit-field's first bit
// (counted from the type's start) and its width after the word `bits`.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long u64;
typedef struct { int counter; } atomic_t;
typedef struct { u64 low, high; } unnamed_pair;
typedef const volatile struct inner { char c; u64 wide; } qualified_inner;
struct list_head { struct list_head *next, *prev; };
struct elsewhere;
union fpregs { unsigned char bytes[100]; struct inner as_inner; u64 words[13]; };
enum colour { red, green };

struct outer {
	char first;
	struct {
		short in_anonymous;
		union {
			u64 in_union;
			struct { int deep_a, deep_b; };
			char text[11];
		};
	};
	struct inner embedded;
	qualified_inner qualified;
	const struct inner *to_const;
	struct inner **to_pointer;
	struct inner pair[3];
	struct inner *pointers[5];
	void *nothing;
	void (*function)(int);
	int matrix[2][3];
	volatile const int marked;
	enum colour colour;
	atomic_t usage;
	unnamed_pair both;
	struct { int x; } named_unnamed;
	struct list_head tasks;
	struct elsewhere *declared_only;
	union fpregs state __attribute__((aligned(64)));
	int empty[0];
	long double extended;
	_Bool flag;
	char comm[16];
	const void *const_nothing;
};

struct flexible { unsigned count; struct inner entries[]; };
struct packed { char c; u64 wide; short s; } __attribute__((packed));
struct bits {
	unsigned a : 3;
	unsigned b : 7;
	int signed_one : 1;
	unsigned : 0;
	unsigned c : 20;
	u64 far : 40;
	struct { unsigned char in_anonymous : 5, last : 3; };
	unsigned char after;
};
typedef struct outer outer_alias;

static struct outer outer;
static struct flexible *flexible;
static struct packed packed;
static struct bits bits;
static union fpregs fpregs;
static outer_alias *alias;
static unnamed_pair *pair;

#define MEMBER(type, member) \
	printf(#type " " #member " %zu %zu\n", offsetof(struct type, member), \
	       sizeof(((struct type *)0)->member))
#define SIZE(type, name) printf(name " - 0 %zu\n", sizeof(type))
#define BITS(member) \
	do { \
		memset(&bits, 0, sizeof(bits)); \
		bits.member = -1; \
		print_bits(#member, (unsigned char *)&bits); \
	} while (0)

static void print_bits(const char *name, unsigned char *bytes)
{
	int first = -1, width = 0;
	for (int i = 0; i < 8 * (int)sizeof(bits); i++)
		if (bytes[i / 8] >> i % 8 & 1) {
			first = first < 0 ? i : first;
			width++;
		}
	printf("bits %s %d %d\n", name, first, width);
}

int anchor(void)
{
	return outer.first + packed.c + fpregs.bytes[0] + (flexible && alias && pair);
}

int main(void)
{
	SIZE(struct outer, "outer");
	SIZE(struct inner, "inner");
	SIZE(struct flexible, "flexible");
	SIZE(struct packed, "packed");
	SIZE(struct bits, "bits");
	SIZE(union fpregs, "fpregs");
	SIZE(struct list_head, "list_head");
	SIZE(atomic_t, "atomic_t");
	SIZE(unnamed_pair, "unnamed_pair");
	MEMBER(outer, first);
	MEMBER(outer, in_anonymous);
	MEMBER(outer, in_union);
	MEMBER(outer, deep_a);
	MEMBER(outer, deep_b);
	MEMBER(outer, text);
	MEMBER(outer, embedded);
	MEMBER(outer, embedded.wide);
	MEMBER(outer, qualified);
	MEMBER(outer, qualified.wide);
	MEMBER(outer, to_const);
	MEMBER(outer, to_pointer);
	MEMBER(outer, pair);
	MEMBER(outer, pointers);
	MEMBER(outer, nothing);
	MEMBER(outer, function);
	MEMBER(outer, matrix);
	MEMBER(outer, marked);
	MEMBER(outer, colour);
	MEMBER(outer, usage);
	MEMBER(outer, both);
	MEMBER(outer, named_unnamed);
	MEMBER(outer, tasks);
	MEMBER(outer, tasks.prev);
	MEMBER(outer, declared_only);
	MEMBER(outer, state);
	MEMBER(outer, state.as_inner.wide);
	MEMBER(outer, state.words);
	MEMBER(outer, empty);
	MEMBER(outer, extended);
	MEMBER(outer, flag);
	MEMBER(outer, comm);
	MEMBER(outer, const_nothing);
	MEMBER(flexible, count);
	printf("flexible entries %zu 0\n", offsetof(struct flexible, entries));
	MEMBER(packed, wide);
	MEMBER(packed, s);
	MEMBER(bits, after);
	printf("unnamed_pair high %zu %zu\n", offsetof(unnamed_pair, high), sizeof(pair->high));
	BITS(a);
	BITS(b);
	BITS(signed_one);
	BITS(c);
	BITS(far);
	BITS(in_anonymous);
	BITS(last);
	return anchor() & 0;
}
