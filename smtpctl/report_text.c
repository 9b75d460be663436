/*
 * The report's words in English and Japanese (report_text.h).
 *
 * The page asks for every word that it shows.  Nothing can fail; a language that lacks a text does not pass test_report.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "smtpctl/report_text.h"

static const char *const codes[LANG_COUNT] = { [LANG_EN] = "en", [LANG_JA] = "ja" };

static const char *const texts[TEXT_COUNT][LANG_COUNT] = {
	[TEXT_TITLE] = { "What the gate did", "玄関の記録" },
	[TEXT_PERIOD] = { "%s to %s", "%s から %s まで" },
	[TEXT_STOPPED] = { "stopped", "止めた" },
	[TEXT_DELAYED] = { "delayed", "待たせた" },
	[TEXT_WAITING] = { "may still come back", "戻るのを待っている" },
	[TEXT_LET_IN] = { "let in", "通した" },
	[TEXT_AT_ONCE] = { "let in at once", "すぐに通した" },
	[TEXT_AFTER_WAITING] = { "let in after coming back", "戻ってきたので通した" },
	[TEXT_WOULD_STOP] = { "would have stopped", "止めるはずだった" },
	[TEXT_WOULD_DELAY] = { "would have delayed", "待たせるはずだった" },
	[TEXT_WOULD_LET_IN] = { "would have let in", "通すはずだった" },
	[TEXT_MEDIAN] = { "median", "中央値" },
	[TEXT_P90] = { "nine of ten within", "90 パーセンタイル" },
	[TEXT_LONGEST] = { "longest", "最長" },
	[TEXT_BY_DAY] = { "Day by day", "日ごと" },
	[TEXT_BY_DAY_DESC] = { "A bar for each day, from below: mail let in at once, let in after coming back, that may "
			       "still come back, and stopped.",
	    "一日に一本の棒。下から、すぐに通したもの、戻ってきたので通したもの、戻るのを待っているもの、止めたもの。" },
	[TEXT_BY_RULE] = { "Rule by rule", "規則ごと" },
	[TEXT_RULE_DESC] = { "A bar for each day, from below: let in, delayed, may still come back, stopped.",
	    "一日に一本の棒。下から、通したもの、待たせたもの、戻るのを待っているもの、止めたもの。" },
	[TEXT_OBSERVED] = { "Rules that only watch", "見るだけの規則" },
	[TEXT_OBSERVED_NOTE] = { "What they would have done. They stopped and delayed nobody.",
	    "効いていたらどうなったかを数えた。実際には何も止めず、待たせてもいない。" },
	[TEXT_WAITS] = { "How long mail waited that was let in", "通したメールの待ち時間" },
	[TEXT_WAITS_NOTE] = { "Of %s messages let in, %s did not have to come back; those are not in the plot.",
	    "通した %s 通のうち %s 通は、出直す必要がなかった。図には入れていない。" },
	[TEXT_WAITS_NONE] = { "No mail that was let in had to come back.",
	    "出直してから通ったメールはなかった。" },
	[TEXT_WAITS_DESC] = { "A bar for each span of time: how many messages waited so long.",
	    "時間の幅ごとに一本の棒。それだけ待ったメールの数。" },
	[TEXT_UP_TO] = { "up to %s", "%sまで" },
	[TEXT_OVER] = { "over %s", "%sを超える" },
	[TEXT_MESSAGES] = { "messages", "通数" },
	[TEXT_DAY] = { "day", "日" },
	[TEXT_WAITED] = { "waited", "待ち時間" },
	[TEXT_TABLE] = { "as a table", "表で見る" },
	[TEXT_LINE] = { "line %s", "%s 行目" },
	[TEXT_GONE] = { "not in the configuration as it is now", "今の設定にはない" },
	[TEXT_PROPOSED] = { "Proposals", "提案" },
	[TEXT_PROPOSED_NOTE] = { "Refused so far, and coming back as a mail server does. The command lets them in; "
				 "“grey deny” in its place refuses them for good.",
	    "まだ断っているが、メールサーバーらしい間隔で再送してくるもの。右のコマンドで通す。grey deny "
	    "にすれば今後ずっと断る。" },
	[TEXT_RESCUED] = { "Who came back and was let in", "戻ってきて通ったもの" },
	[TEXT_RESCUED_NOTE] = { "The latest first, with the tries as they came.",
	    "新しいものから。試みの時刻と相手を添える。" },
	[TEXT_FROM] = { "sender", "差出人" },
	[TEXT_TO] = { "recipient", "宛先" },
	[TEXT_CALLER] = { "caller", "相手" },
	[TEXT_TRIES] = { "tries", "回数" },
	[TEXT_EVIDENCE] = { "evidence", "根拠" },
	[TEXT_COMMAND] = { "command", "コマンド" },
	[TEXT_MORE] = { "%s more are not shown.", "ほかに %s 件あるが、省いた。" },
	[TEXT_NOTHING] = { "Nothing was counted in this time.", "この期間には何も数えられていない。" },
	[TEXT_COUNTING] = { "How this is counted", "数え方" },
	[TEXT_COUNTING_NOTE] = {
	    "A greylist or tempfail counts mail: the same sender and recipient from the same caller, on the day of its "
	    "first try. It is stopped when it did not come back in time. Other rules count recipients, or sessions "
	    "where none is named. A pause or tarpit stops who hangs up and delays who stays; nearly everybody "
	    "passes a pause, so the first plot leaves that out. What was let in is counted in messages, on the "
	    "day when it came in.",
	    "グレイリストと tempfail は、同じ相手・差出人・宛先をひとつのメールとして、最初に来た日に数える。期限までに戻らなければ"
	    "「止めた」とする。ほかの規則は宛先を、宛先がなければ接続を数える。pause と tarpit は、切った相手を「止めた」、待ち通した"
	    "相手を「待たせた」とする。pause はほとんどの相手が待ち通すので、最初の図には入れていない。「通した」はメールの通数で、"
	    "届いた日に数える。" },
	[TEXT_SECONDS] = { "%s s", "%s 秒" },
	[TEXT_MINUTES] = { "%s min", "%s 分" },
	[TEXT_HOURS] = { "%s h", "%s 時間" },
	[TEXT_DAYS] = { "%s d", "%s 日" },
};

const char *
report_lang_code(enum report_lang lang)
{
	return codes[lang];
}

bool
report_lang_by_code(const char *code, enum report_lang *lang)
{
	int i;

	for (i = 0; i < LANG_COUNT; i++) {
		if (strcmp(codes[i], code) == 0) {
			*lang = (enum report_lang)i;
			return true;
		}
	}
	return false;
}

enum report_lang
report_lang_of_environment(void)
{
	static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
	const char *value;
	size_t i;
	int lang;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		value = getenv(names[i]);
		if (value == NULL || *value == '\0')
			continue;
		for (lang = 0; lang < LANG_COUNT; lang++)
			if (strncmp(value, codes[lang], 2) == 0)
				return (enum report_lang)lang;
		return LANG_EN;
	}
	return LANG_EN;
}

const char *
report_text(enum report_lang lang, enum report_text text)
{
	return texts[text][lang];
}

void
report_text_add(struct buf *b, enum report_lang lang, enum report_text text, const char *first,
    const char *second)
{
	const char *s = texts[text][lang], *place;

	while ((place = strstr(s, "%s")) != NULL) {
		buf_add(b, s, (size_t)(place - s));
		buf_adds(b, first != NULL ? first : "");
		first = second;
		s = place + 2;
	}
	buf_adds(b, s);
}

void
report_number_add(struct buf *b, uint64_t n)
{
	char digits[24];
	size_t i, len;

	len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);
	for (i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf_addc(b, ',');
		buf_addc(b, digits[i]);
	}
}

void
report_time_add(struct buf *b, enum report_lang lang, uint64_t seconds)
{
	static const struct {
		uint64_t below, unit;
		enum report_text text;
	} units[] = {
		{ 60, 1, TEXT_SECONDS },
		{ 2 * 3600, 60, TEXT_MINUTES },
		{ 2 * 86400, 3600, TEXT_HOURS },
		{ UINT64_MAX, 86400, TEXT_DAYS },
	};
	struct buf number = { 0 };
	size_t i;

	for (i = 0; seconds >= units[i].below; i++)
		;
	if (units[i].unit == 60 && seconds > 0 && seconds % 3600 == 0)
		i++; /* "1 h" */
	report_number_add(&number, seconds / units[i].unit);
	report_text_add(b, lang, units[i].text, buf_str(&number), NULL);
	buf_free(&number);
}
