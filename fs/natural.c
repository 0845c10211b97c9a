#include "fs/natural.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(const char *s)
{
	size_t n = 0;

	while (digit(s[n]))
		n++;
	return n;
}

/* Two runs of digits by value, of any length; both pointers go behind them. */
static int compare_numbers(const char **a, const char **b)
{
	size_t na, nb;
	int order;

	while (**a == '0')
		++*a;
	while (**b == '0')
		++*b;
	na = digits(*a);
	nb = digits(*b);
	order = na != nb ? (na > nb) - (na < nb) : memcmp(*a, *b, na);
	*a += na;
	*b += nb;
	return order;
}

int natural_compare(const char *a, const char *b)
{
	const char *whole_a = a, *whole_b = b;

	while (*a && *b) {
		int order;

		if (digit(*a) && digit(*b))
			order = compare_numbers(&a, &b);
		else
			order = (unsigned char)*a++ - (unsigned char)*b++;
		if (order)
			return order;
	}
	if (*a || *b)
		return *a ? 1 : -1;
	return strcmp(whole_a, whole_b);
}
