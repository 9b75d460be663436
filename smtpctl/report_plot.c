/*
 * Plots as SVG (report_plot.h).
 *
 * The page calls this; colours and type come from its style sheet, so the plots follow light and dark.  Nothing can fail.
 * Each plot says in words what it shows, each bar has its figures as a title, and nothing depends on colour alone: the
 * table has it all again.
 */
#include <inttypes.h>

#include "lib/buf.h"
#include "smtpctl/html.h"
#include "smtpctl/report_plot.h"

struct frame {
	double width, height, left, top, right, bottom; /* the last four: margins */
};

static const struct frame large = { 720, 270, 52, 12, 6, 26 };
static const struct frame small = { 360, 116, 40, 8, 4, 20 };

/* One label of the horizontal axis takes so much room. */
#define LABEL_WIDTH 46.0

uint64_t
plot_part_of(const struct report_cell *c, enum plot_part part)
{
	switch (part) {
	case PART_LET_IN:
		return c->let_in;
	case PART_DELAYED:
		return c->delayed;
	case PART_WAITING:
		return c->waiting;
	default:
		return c->stopped;
	}
}

const char *
plot_part_class(enum plot_part part)
{
	static const char *const classes[PART_COUNT] = { "in", "delay", "wait", "stop" };

	return classes[part];
}

static uint64_t
sum_of(const struct report_cell *c)
{
	return c->let_in + c->delayed + c->waiting + c->stopped;
}

uint64_t
plot_axis_end(uint64_t most)
{
	static const unsigned steps[] = { 12, 16, 20, 24, 32, 40, 60, 80, 100 };
	uint64_t unit, end;
	size_t i;

	for (end = 1; end <= 8; end *= 2)
		if (end >= most)
			return end;
	for (unit = 1;; unit *= 10) {
		for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (steps[i] * unit >= most || unit > UINT64_MAX / 10000)
				return steps[i] * unit;
	}
}

static uint64_t
most_of(const struct plot *p)
{
	uint64_t most = 0;
	unsigned i;

	for (i = 0; i < p->n; i++)
		if (sum_of(&p->cells[i]) > most)
			most = sum_of(&p->cells[i]);
	return most;
}

static void
begin_svg(struct buf *b, double width, double height, unsigned id, const char *title, const char *description)
{
	buf_addf(b,
	    "<svg%s viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"t%u d%u\"><title id=\"t%u\">",
	    width < large.width ? "" : " class=\"large\"", width, height, id, id, id);
	html_add(b, title);
	buf_addf(b, "</title><desc id=\"d%u\">", id);
	html_add(b, description);
	buf_adds(b, "</desc>\n");
}

/* Lines across, at quarters or halves that are whole numbers. */
static void
add_axis(struct buf *b, const struct frame *f, uint64_t end, bool fine)
{
	unsigned i, n = fine && end % 4 == 0 ? 4 : end % 2 == 0 ? 2 : 1;
	double y;

	for (i = 0; i <= n; i++) {
		y = f->height - f->bottom - (f->height - f->bottom - f->top) * i / n;
		buf_addf(b, "<line class=\"%s\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>",
		    i == 0 ? "base" : "grid", f->left, f->width - f->right, y, y);
		buf_addf(b, "<text class=\"y\" x=\"%.0f\" y=\"%.1f\">", f->left - 6, y + 3.5);
		report_number_add(b, end * i / n);
		buf_adds(b, "</text>\n");
	}
}

static void
add_date(struct buf *b, const struct report_day *d, bool whole)
{
	if (whole)
		buf_addf(b, "%04d-", d->year);
	buf_addf(b, "%02d-%02d", d->month, d->day);
}

/* "2026-11-22: let in 12, stopped 340" */
static void
add_bar_title(struct buf *b, const struct plot *p, unsigned i)
{
	const char *before = ": ";
	int part;

	buf_adds(b, "<title>");
	add_date(b, &p->days[i], true);
	for (part = 0; part < PART_COUNT; part++) {
		if (plot_part_of(&p->cells[i], (enum plot_part)part) == 0)
			continue;
		buf_adds(b, before);
		html_add(b, report_text(p->lang, p->parts[part]));
		buf_addc(b, ' ');
		report_number_add(b, plot_part_of(&p->cells[i], (enum plot_part)part));
		before = ", ";
	}
	buf_adds(b, "</title>");
}

static void
add_bar(struct buf *b, const struct plot *p, const struct frame *f, unsigned i, uint64_t end)
{
	double step = (f->width - f->left - f->right) / p->n, width = step * 0.72 < 34 ? step * 0.72 : 34,
	       x = f->left + step * (i + 0.5) - width / 2, y = f->height - f->bottom,
	       scale = (y - f->top) / (double)end, height;
	uint64_t count;
	int part;

	buf_adds(b, "<g>");
	add_bar_title(b, p, i);
	for (part = 0; part < PART_COUNT; part++) {
		count = plot_part_of(&p->cells[i], (enum plot_part)part);
		if (count == 0)
			continue;
		height = (double)count * scale;
		y -= height;
		buf_addf(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\"/>",
		    plot_part_class((enum plot_part)part), x, y, width, height);
	}
	buf_adds(b, "</g>\n");
}

/* As many dates as there is room for; the last day always has its own. */
static void
add_dates(struct buf *b, const struct plot *p, const struct frame *f)
{
	double step = (f->width - f->left - f->right) / p->n;
	unsigned every = (unsigned)(LABEL_WIDTH / step) + 1, i;

	for (i = 0; i < p->n; i++) {
		if ((p->n - 1 - i) % every != 0)
			continue;
		buf_addf(b, "<text class=\"x\" x=\"%.1f\" y=\"%.0f\">", f->left + step * (i + 0.5),
		    f->height - f->bottom + 16);
		add_date(b, &p->days[i], false);
		buf_adds(b, "</text>\n");
	}
}

void
plot_days(struct buf *b, const struct plot *p)
{
	const struct frame *f = p->small ? &small : &large;
	uint64_t end = plot_axis_end(most_of(p));
	unsigned i;

	begin_svg(b, f->width, f->height, p->id, p->title, report_text(p->lang, p->description));
	add_axis(b, f, end, !p->small);
	for (i = 0; i < p->n; i++)
		if (sum_of(&p->cells[i]) > 0)
			add_bar(b, p, f, i, end);
	add_dates(b, p, f);
	buf_adds(b, "</svg>\n");
}

static void
begin_table(struct buf *b, enum report_lang lang, const char *caption)
{
	buf_adds(b, "<details><summary>");
	html_add(b, report_text(lang, TEXT_TABLE));
	buf_adds(b, "</summary><div class=\"scroll\"><table><caption>");
	html_add(b, caption);
	buf_adds(b, "</caption><thead><tr>");
}

static void
add_head(struct buf *b, const char *text)
{
	buf_adds(b, "<th scope=\"col\">");
	html_add(b, text);
	buf_adds(b, "</th>");
}

static void
add_number_cell(struct buf *b, uint64_t n)
{
	buf_adds(b, "<td>");
	report_number_add(b, n);
	buf_adds(b, "</td>");
}

void
plot_days_table(struct buf *b, const struct plot *p)
{
	unsigned i;
	int part;

	begin_table(b, p->lang, p->title);
	add_head(b, report_text(p->lang, TEXT_DAY));
	for (part = 0; part < PART_COUNT; part++)
		add_head(b, report_text(p->lang, p->parts[part]));
	buf_adds(b, "</tr></thead><tbody>\n");
	for (i = 0; i < p->n; i++) {
		buf_adds(b, "<tr><th scope=\"row\">");
		add_date(b, &p->days[i], true);
		buf_adds(b, "</th>");
		for (part = 0; part < PART_COUNT; part++)
			add_number_cell(b, plot_part_of(&p->cells[i], (enum plot_part)part));
		buf_adds(b, "</tr>\n");
	}
	buf_adds(b, "</tbody></table></div></details>\n");
}

/*
 * Waits
 */

#define WAIT_ROW 24
#define WAIT_LEFT 120.0
#define WAIT_WIDTH 520.0

static void
add_bin_name(struct buf *b, enum report_lang lang, unsigned bin)
{
	struct buf time = { 0 }, name = { 0 };
	unsigned last = REPORT_BINS - 1;

	report_time_add(&time, lang, report_bin_ends[bin < last ? bin : last - 1]);
	report_text_add(&name, lang, bin < last ? TEXT_UP_TO : TEXT_OVER, buf_str(&time), NULL);
	html_add(b, buf_str(&name));
	buf_free(&time);
	buf_free(&name);
}

void
plot_waits(struct buf *b, enum report_lang lang, unsigned id, const uint64_t bins[REPORT_BINS])
{
	uint64_t most = 1;
	double width, y;
	unsigned i;

	for (i = 0; i < REPORT_BINS; i++)
		most = bins[i] > most ? bins[i] : most;
	begin_svg(b, 720, WAIT_ROW * REPORT_BINS + 4, id, report_text(lang, TEXT_WAITS),
	    report_text(lang, TEXT_WAITS_DESC));
	for (i = 0; i < REPORT_BINS; i++) {
		y = 2 + WAIT_ROW * (double)i;
		width = WAIT_WIDTH * (double)bins[i] / (double)most;
		buf_addf(b, "<text class=\"y\" x=\"%.0f\" y=\"%.1f\">", WAIT_LEFT - 10, y + 15.5);
		add_bin_name(b, lang, i);
		buf_addf(b, "</text><rect class=\"delay\" x=\"%.0f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>",
		    WAIT_LEFT, y + 3, width, WAIT_ROW - 6);
		buf_addf(b, "<text x=\"%.1f\" y=\"%.1f\">", WAIT_LEFT + width + 8, y + 15.5);
		report_number_add(b, bins[i]);
		buf_adds(b, "</text>\n");
	}
	buf_addf(b, "<line class=\"base\" x1=\"%.0f\" x2=\"%.0f\" y1=\"0\" y2=\"%d\"/></svg>\n", WAIT_LEFT,
	    WAIT_LEFT, WAIT_ROW * REPORT_BINS + 4);
}

void
plot_waits_table(struct buf *b, enum report_lang lang, const uint64_t bins[REPORT_BINS])
{
	unsigned i;

	begin_table(b, lang, report_text(lang, TEXT_WAITS));
	add_head(b, report_text(lang, TEXT_WAITED));
	add_head(b, report_text(lang, TEXT_MESSAGES));
	buf_adds(b, "</tr></thead><tbody>\n");
	for (i = 0; i < REPORT_BINS; i++) {
		buf_adds(b, "<tr><th scope=\"row\">");
		add_bin_name(b, lang, i);
		buf_adds(b, "</th>");
		add_number_cell(b, bins[i]);
		buf_adds(b, "</tr>\n");
	}
	buf_adds(b, "</tbody></table></div></details>\n");
}
