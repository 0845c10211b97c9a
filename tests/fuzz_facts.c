/* facts.json as a person edited it. What was taken is shown again, and that changes nothing. */
#include "fs/facts_text.h"
#include "store/err.h"
#include "tests/lib/fuzz_fs.h"

const unsigned fuzz_failing_allocations = 0; /* other threads allocate too, and the index ends the process */

void fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_fs *f = fuzz_fs();
	scope_buf struct buf shown = { 0 }, again = { 0 };

	facts_edit(f->fs, &fuzz_caller, &f->row, "{\"tags\":[]}", 11);
	if (facts_edit(f->fs, &fuzz_caller, &f->row, data, size)) {
		must(*err_text(), "an error without a sentence");
		return;
	}
	must(facts_json(f->fs, &f->row, &shown) == 0, "the facts cannot be shown");
	must(facts_edit(f->fs, &fuzz_caller, &f->row, shown.data, shown.len) == 0, "what is shown is refused");
	must(facts_json(f->fs, &f->row, &again) == 0 && shown.len == again.len && !memcmp(shown.data, again.data, shown.len),
	     "what is shown changes something");
}
