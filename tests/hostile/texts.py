"""Texts that mean something to a page, a terminal, a spreadsheet or a reader's eye."""

HTML = "</script></title><img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
JS = "${document.title='pwned'}`';document.title='pwned'//\\"
BIDI = "\u202eevil\u2066\u200f\u200b\ufeff"
LINES = "a\u2028b\u2029c\u0085d"
FORMULA = "=cmd|' /C calc'!A0"
QUOTES = 'a","b;c\'d\\'
WIDE = "\uff1dHYPERLINK(1)"  # read as = where full-width forms are at home
LONG = "n" * 900
EMOJI = "\U0001f469\u200d\U0001f4bb"
ESCAPE = "\x1b[2J\x1b]0;pwned\x07\r\nweightaudit: all is well\n"
