package auth

// The example of RFC 7677, section 3: user "user", password "pencil".
const (
	rfcPassword    = "pencil"
	rfcSecret      = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	rfcClientNonce = "rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcClientFirst = "n,,n=user,r=" + rfcClientNonce
	rfcServerFirst = "r=" + rfcClientNonce + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcClientFinal = "c=biws,r=" + rfcClientNonce + rfcServerNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

// secretsOfPostgreSQL are secrets that a PostgreSQL 15 server made for these
// passwords, in a database with encoding UTF8.
var secretsOfPostgreSQL = []struct{ name, password, secret string }{
	{"ascii", "pencil",
		"SCRAM-SHA-256$4096:hZlDxaI97SxMw6gYzBKfJA==$3PwOo0q0xN5KIcj9TgUQsjTbqqC3xIAOhGCjIyTG89k=:bRG6UDba/1mnlYq5ltva48d6K6F85bAvo0ldp2sQdvk="},
	{"quote", "it's \"quoted\"",
		"SCRAM-SHA-256$4096:QospZgHZOTR/X0l9/yElFw==$xpLcn8wxG+Mry9ZLDcWk7XOZgiFaXBw0Qo/NkukNDBU=:LTA2XWjvruBtCoW1OCBtzvBkHmecYSV/m8Tm3tveHE8="},
	{"control", "a\x01b",
		"SCRAM-SHA-256$4096:yGR4USqCM1eIhgbUuFpB5w==$oHQqM3n+aivoCypjRo8g41lqKPEJ4W1zT9tXeXLq6vw=:2aLd1OsxB9ZEQXkToHdWlBxUEaYhCpWS1ptk+xEmHrk="},
	{"soft hyphen", "I\u00ADX",
		"SCRAM-SHA-256$4096:hvHeMRW7Ix1NsZ4q0eh80g==$HhmeztDjU34GxG+vfAqoFFaKxIIxufAJzS86TSNU7Gs=:0QYpRzdq/AsAej6McYi5A9S5VIDbjJaUicYmPKFpdvQ="},
	{"no-break space", "a\u00A0b",
		"SCRAM-SHA-256$4096:/hhDPpJOF/ngSuEUEhOlyQ==$Y4GkTr7wlJR9IM6JJCyUFibfdnEPOyUuWkRUgytEVS0=:JZBySc7utwUHRbxh4XISkqevg08srw1UkGmWDZ8SyGE="},
	{"zero width space", "a\u200Bb",
		"SCRAM-SHA-256$4096:v+c3Q6HRHlC1MMEj604h0g==$/GcmIuKK61fuzMeQe/Wo9oJ1ukcPe56uKo4fA3tfYJE=:0Frdq8B8BEgc235GxfqHEIGhKjKYeyK8GsUZcMztSiU="},
	{"only soft hyphens", "\u00AD\u00AD",
		"SCRAM-SHA-256$4096:657WC/EAgKJKI4uO2+bIzQ==$2O2Jf8LUkMjx0kgMHeAWNiLGXYbEyA6dzBN5zjI1oKM=:iC9uirPfRUStUl7yq/I2a8uo2M/MefNPtEcpUw3jAGc="},
	{"ligature", "\uFB01le",
		"SCRAM-SHA-256$4096:U8bWxMUgMD6zwUdSfaG47w==$rL3fXh7zSiDUROlwiZf58zcLYUfXTIcvHp1MZpMlOg8=:o81jNnT4lSHEUPHAAKSlx0qjgfvEnswtVkzodE8x85g="},
	{"roman nine", "\u2168",
		"SCRAM-SHA-256$4096:6XBw4jGrpUb44qzFboxYnA==$rKn8z8x+dYtI4MAWcgaq3nJ0CSeXuPwB3hk3PGGzAOU=:hqnryufLv33veONcWG6dVH+eUZAxS283+1t1qwKGn5k="},
	{"decomposed", "e\u0301tude",
		"SCRAM-SHA-256$4096:Cg5EDIBYGwyY0VmqCCg8UQ==$mhE9SFjm1HMZ0TTy56qU3s8x4CtKbJ3lqscaIzQCI8Q=:vuRh0HrXQ00hz/z5bP5rtZTHdephOWHF1/8IlHuhwwc="},
	{"unassigned in Unicode 3.2", "\U0001F600\u00AD",
		"SCRAM-SHA-256$4096:bfn0gEqG1LaDB6QNhgTFdQ==$SLVmP0i7j5T6xSC3e6bhz02JMRflZOZD12JIDBFQ5nQ=:y6pNmX+R1Bqv+ZUrrhNL0tw/PFgZiokZF0JNvGGJ8IM="},
	{"private use", "\uE000\u00AD",
		"SCRAM-SHA-256$4096:0OB43mAbOkFxoG68/JtKoQ==$FtyLQC2vk7WwvgrgMwYR0WhdzW9jkc2l5YumxXHYHXs=:D9m4emqP3O4K2iBKIRo5iEI1dtUA/OIkNM/diY1zMK8="},
	{"right to left", "\u0627\u0031\u0628",
		"SCRAM-SHA-256$4096:2WLX8OsJJx5O8OBrmW1D3w==$0lRUBtAEy2lIf95wr2+nHTypkm5DBKEjCBvyRHgwkEQ=:e8W4BPELoNDE02Ly/yWPiDy7+0v/lbC8e2Zb4RDiIqk="},
	{"right to left broken", "\u0627\u0031\u00AD",
		"SCRAM-SHA-256$4096:ZsuMaD559IOtQpK1XkKnUQ==$s1ndeDoAhVB2dtxGZDAo3qChi1eSKD+vDsbQDh02Is4=:v3qa+ATFd2D7VUV4lF18tl459Obzh523nB0p/1M5KY0="},
	{"mixed direction", "\u05D0a\u2168\u05D0",
		"SCRAM-SHA-256$4096:/jxDDofVIRyYa/Gkrc3kng==$cqx27ECvLsvlKfPVGCs4Sbge1cF8T2rmiHEZ79rZUNQ=:jY3ln952OvclAK6yNJAxetxYmRGxSBFYX1PO3ZNSnUE="},
	{"non-character and ligature", "\uFDD0\uFB01",
		"SCRAM-SHA-256$4096:GVronBFFGYmKta3rjAIZkw==$FSII6JmXwLiQZMnAlmp+2Qg49X1rskFMfQu82m3ELFA=:tlC2jG4YICvPKeLlRfuUXYOVwToNKOUy6LkpbAR+N3s="},
	{"presentation form", "\uFEFB",
		"SCRAM-SHA-256$4096:vt38nzht8q0ngwcwyIpMgg==$BQKquTxMf1EWD0xUqGcc0i7p4hnA1paeUNOXdk3uOhY=:sH0ooHkZOI7p4KDyqiQ7EYgaH0fBL+mirhQmFeU3hF4="},
	{"tag", "\U000E0001\uFB01",
		"SCRAM-SHA-256$4096:B5mWLb02mnI8+owKVNgjtw==$xn/hIADpD3VSxG/6QEZHun2Kh30TyzmAtMHt4+ZzJ20=:henrfr39/t6PPCr33AS/OIrA4NcGk2PmnfwQYsJAQ6s="},
	{"normalizes to a prohibited character", "\u2126\u0340\uFB01",
		"SCRAM-SHA-256$4096:nBVqUGrbxqxYHx4MjtfAqQ==$un1eSv7SdZFBbUXPI93uIHHDx0xCa+8YDfj6CRvJuWw=:1MEzIzSdjpcGiwYkJVUIkMLgob3D++1QAuCwGJl0gXw="},
	{"space that normalization makes", "a\u00B4b",
		"SCRAM-SHA-256$4096:z/1H42v5kMeNVpwQd/l8Rw==$kfbKdPW5nHqW5wfC1VG5znfXv4hk8ExGhKTXxmMdejs=:6+liIucFr9wHYSgTHAU97kaXeVJVhv0JBCLlpbo3jP8="},
	{"zero width joiner", "a\u200Db",
		"SCRAM-SHA-256$4096:NwUW/kby3lxBXu0YnFflTA==$DwwLTTmhtCqvaI9ZCs0niXntyuXZ57XJu2eYgcmwdpY=:+PQekmKvMs1X59x56KD3AoehmLa7oV/613tuKT3u0kA="},
	{"Latin-1 bytes", "caf\xe9",
		"SCRAM-SHA-256$4096:fFYrkXT04ir5sYxFOvgoOQ==$ykXG/ZMTgj1z6my7Uy0ugPhNm2U0xeJiKhZ5SSbJiUE=:C9xz9MjaAnzJ5bLhoSsOT/Q3x6waBRD9ZvsHvFwF3EQ="},
}
