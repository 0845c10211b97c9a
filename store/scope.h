/*
 * scope: locals that release what they own when they go out of scope (gcc and clang cleanup attribute).
 *
 *     scope_free char *name = NULL;            free(name) at the end of the block
 *     scope_lock(&table->lock);                unlocked at the end of the block
 *     scope_fd int fd = open(...);             closed when >= 0
 *     return take(&name);                      ownership leaves: name becomes NULL and is not freed
 *
 * A type with an own destructor declares its scope_x beside it with SCOPE_CLEANUP.
 */
#ifndef TOMOFS_SCOPE_H
#define TOMOFS_SCOPE_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define SCOPE_CLEANUP(function) __attribute__((cleanup(function)))

static inline void scope_free_ptr(void *slot)
{
	free(*(void **)slot);
}
#define scope_free SCOPE_CLEANUP(scope_free_ptr)

static inline void scope_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define scope_fd SCOPE_CLEANUP(scope_close_fd)

static inline void scope_unlock_mutex(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}
#define SCOPE_JOIN2(a, b) a##b
#define SCOPE_JOIN(a, b) SCOPE_JOIN2(a, b)
#define scope_lock(mutex)                                                                                              \
	pthread_mutex_t *SCOPE_JOIN(scope_lock_, __LINE__) SCOPE_CLEANUP(scope_unlock_mutex) = (mutex);                \
	pthread_mutex_lock(SCOPE_JOIN(scope_lock_, __LINE__))

#define take(slot)                                                                                                     \
	({                                                                                                             \
		__typeof__(slot) take_slot_ = (slot);                                                                  \
		__typeof__(*take_slot_) take_value_ = *take_slot_;                                                     \
		*take_slot_ = NULL;                                                                                    \
		take_value_;                                                                                           \
	})

#endif
