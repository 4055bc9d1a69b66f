#!/usr/bin/env python3
"""Makes settings.json: what libpq itself makes of connection strings, variables, service and password files.

    LIBPQ=/path/to/libpq.so.5 python3 test/vectors/settings.py > test/vectors/settings.json

Needs Python's standard library and libpq 17 (the wheel of psycopg2-binary has one in psycopg2_binary.libs). The random
part has a fixed seed, so the same libpq gives the same file.
"""

import ctypes
import json
import os
import random
import tempfile

LIBPQ = ctypes.CDLL(os.environ.get("LIBPQ", "libpq.so.5"))


class Option(ctypes.Structure):
    """PQconninfoOption"""

    _fields_ = [
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    ]


LIBPQ.PQconninfoParse.restype = ctypes.POINTER(Option)
LIBPQ.PQconninfoParse.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
LIBPQ.PQconndefaults.restype = ctypes.POINTER(Option)
LIBPQ.PQconnectStart.restype = ctypes.c_void_p
LIBPQ.PQconnectStart.argtypes = [ctypes.c_char_p]
for name in ("PQpass", "PQerrorMessage"):
    getattr(LIBPQ, name).restype = ctypes.c_char_p
    getattr(LIBPQ, name).argtypes = [ctypes.c_void_p]
LIBPQ.PQfinish.argtypes = [ctypes.c_void_p]


def listed(options):
    """The entries of an array that ends with a NULL keyword."""
    index = 0
    while options[index].keyword is not None:
        yield options[index]
        index += 1


def values(options):
    """Keyword to value."""
    given = (option for option in listed(options) if option.val is not None)
    return {option.keyword.decode(): option.val.decode("utf-8") for option in given}


def parse(text):
    """PQconninfoParse: values, or None when refused. Values that are not UTF-8 count as refused."""
    options = LIBPQ.PQconninfoParse(text.encode(), None)
    if not options:
        return None
    try:
        return values(options)
    except UnicodeDecodeError:
        return None


def surroundings(environment):
    """Replaces all variables of libpq."""
    for name in list(os.environ):
        if name.startswith("PG"):
            del os.environ[name]
    os.environ.update(environment)


def defaults(environment):
    """PQconndefaults without what it says when nothing is set; None when it fails."""
    surroundings({"PGSYSCONFDIR": "/nowhere"})
    bare = values(LIBPQ.PQconndefaults())
    surroundings(environment)
    options = LIBPQ.PQconndefaults()
    if not options:
        return None
    variables = {option.keyword.decode(): (option.envvar or b"").decode() for option in listed(options)}
    return {
        key: value
        for key, value in values(options).items()
        if bare.get(key) != value or variables[key] in environment
    }


def start(text):
    """PQconnectStart: the complaint about the settings or None, and the password it would use."""
    connection = LIBPQ.PQconnectStart(text.encode())
    message = LIBPQ.PQerrorMessage(connection).decode().strip()
    password = LIBPQ.PQpass(connection)
    LIBPQ.PQfinish(connection)
    is_setting = message and not message.startswith("connection to server")
    return (message if is_setting else None), (password.decode() if password else None)


# -- connection strings: pieces put together at random ------------------------------------------------------------

PIECES = [
    "postgres://", "postgresql://", "://", "@", ":", "/", "?", "&", "=", ",", "[", "]", "%20", "%2C", "%3d", "%",
    "%zz", "%00", "%c3%a9", "::1", "fe80::1%25eth0", "host", "localhost", "user", "secret", "db", "5432", "0",
    "host=", "port=", "dbname=", "user=", "password=", "sslmode=", "application_name=", "options=", "hostaddr=",
    "service=", "require_auth=", "channel_binding=", "sslnegotiation=direct", "sslrootcert=system", "require", " ",
    "\t", "\n", "'", "\\", "\\'", "\\\\", "é", "🚀", "bogus=1", "ssl=true", "ssl=1", "requiressl=1", "#", "+", ";",
    "target_session_attrs=any", "keepalives_idle=5", "tcp_user_timeout=10", "load_balance_hosts=random", "''",
    " = ", "'a b'", "gssencmode=disable", "krbsrvname=x", "sslcertmode=allow", "passfile=/x", "connect_timeout=3",
]

STARTS = ["", "postgres://", "postgresql://", "postgres://u:p@h:1,h2:2/db?", "host=h ", "postgres://%2Frun%2Fpg/"]


def strings(count):
    dice = random.Random(20261121)
    cases = {}
    while len(cases) < count:
        text = dice.choice(STARTS) + "".join(dice.choice(PIECES) for _ in range(dice.randrange(1, 9)))
        result = parse(text)
        # Most random texts are refused; one refusal in three is enough.
        if result is not None or dice.random() < 0.34:
            cases[text] = result
    return sorted(cases.items())


# -- variables ----------------------------------------------------------------------------------------------------

VARIABLES = {
    "PGHOST": ["h", "h1,h2", "/run/pg", "@abstract"],
    "PGHOSTADDR": ["10.0.0.1", "::1"],
    "PGPORT": ["1234", "1,2"],
    "PGDATABASE": ["d", "with space"],
    "PGUSER": ["u", "ü"],
    "PGPASSWORD": ["p", "p:w\\d 'x'"],
    "PGPASSFILE": ["/f"],
    "PGOPTIONS": ["-c geqo=off"],
    "PGAPPNAME": ["a"],
    "PGCONNECT_TIMEOUT": ["7"],
    "PGCLIENTENCODING": ["UTF8"],
    "PGTARGETSESSIONATTRS": ["any"],
    "PGLOADBALANCEHOSTS": ["disable"],
    "PGREQUIREAUTH": ["scram-sha-256", "!password"],
    "PGCHANNELBINDING": ["require"],
    "PGSSLMODE": ["verify-full", "disable"],
    "PGREQUIRESSL": ["1", "0"],
    "PGSSLNEGOTIATION": ["direct"],
    "PGSSLROOTCERT": ["/r", "system"],
    "PGSSLCERT": ["/c"],
    "PGSSLKEY": ["/k"],
    "PGSSLCRL": ["/l"],
    "PGSSLCRLDIR": ["/d"],
    "PGSSLCERTMODE": ["disable"],
    "PGSSLSNI": ["0"],
    "PGSSLMINPROTOCOLVERSION": ["TLSv1.3"],
    "PGSSLMAXPROTOCOLVERSION": ["TLSv1.3"],
    "PGGSSENCMODE": ["disable"],
    "PGREQUIREPEER": ["x"],
}


def environments():
    cases = [({name: value}) for name, choices in VARIABLES.items() for value in choices]
    dice = random.Random(7)
    for _ in range(40):
        names = dice.sample(sorted(VARIABLES), dice.randrange(2, 7))
        cases.append({name: dice.choice(VARIABLES[name]) for name in names})
    return [(case, defaults(case)) for case in cases]


# -- service files ------------------------------------------------------------------------------------------------

FILES = [
    "[one]\nhost=h\nport=1\n[two]\nhost=x\n",
    "# comment\n\n   [one]   \n   dbname=d  \nuser=u\r\n",
    "[one]\nhost = h\n",
    "[one]\nhost=h\nhost=second\n",
    "[one]\ndbname= blank\npassword=a=b\n",
    "[one]\nservice=two\n",
    "[one]\nbogus=1\n",
    "[one]\nhost\n",
    "[one]\n[one]\nhost=late\n",
    "[one] trailing\nhost=h\n",
    "[one\nhost=h\n[one]\nhost=right\n",
    "[onetwo]\nhost=longer\n[one]\nhost=exact\n",
    "[ONE]\nhost=upper\n",
    "[two]\nbogus=never read\n[one]\nhost=h\n",
    "[one]\n#host=comment\nport=5\n",
    "[one]\nsslmode=verify-full\nsslrootcert=system\n",
    "[one]\napplication_name=app\noptions=-c geqo=off\nconnect_timeout=3\n",
    "host=before\n[one]\nport=2\n",
    "[one]\nhost=h # no comment\n",
    "[one]\nhost='h'\n",
    "",
    "[two]\nhost=x\n",
]


def services():
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        own = os.path.join(folder, "own.conf")
        system = os.path.join(folder, "pg_service.conf")

        def write(path, text):
            if os.path.exists(path):
                os.remove(path)
            if text is not None:
                with open(path, "w", newline="") as file:
                    file.write(text)

        pairs = [(text, None) for text in FILES] + [(None, text) for text in FILES[:5]]
        pairs += [
            ("[two]\nhost=own\n", "[one]\nhost=system\n"),
            ("[one]\nhost=own\n", "[one]\nhost=system\nport=9\n"),
            ("[one]\n", "[one]\nhost=system\n"),
            (None, None),
        ]
        for mine, common in pairs:
            for extra in ({}, {"PGHOST": "variable", "PGPORT": "77"}):
                write(own, mine)
                write(system, common)
                environment = {"PGSERVICE": "one", "PGSYSCONFDIR": folder, **extra}
                if mine is not None:
                    environment["PGSERVICEFILE"] = own
                else:
                    # the home folder's file is not there in a home that does not exist
                    os.environ["HOME"] = "/nowhere"
                result = defaults(environment)
                # PQconndefaults passes over a service file that is wrong; connecting does not.
                problem, _ = start("service=one sslmode=wrong")
                if "sslmode" not in problem:
                    result = None
                cases.append({"own": mine, "system": common, "environment": extra, "result": result})
    return cases


# -- password files -----------------------------------------------------------------------------------------------

LINES = [
    "h:5432:d:u:exact", "*:5432:d:u:anyhost", "h:*:d:u:anyport", "h:5432:*:u:anydb", "h:5432:d:*:anyuser",
    "*:*:*:*:any", "# h:5432:d:u:comment", "", "h:5432:d:u:with\\:colon", "h:5432:d:u:back\\\\slash",
    "h:5432:d:u:end\\", "h:5432:d:u", "h:5432:d:u:", "h\\:x:5432:d:u:escaped host", " h:5432:d:u:blank",
    "h:5432:d:u:trailing  ", "H:5432:d:u:upper", "h:5432:d:u:more:fields", "/run/pg:5432:d:u:socket",
    "localhost:5432:d:u:localhost", "10.0.0.1:5432:d:u:address", "h:5432:d:us:longer", "h:54321:d:u:longer port",
    "**:5432:d:u:two stars", "h:5432:d\\:e:u:escaped db", "*\\::5432:d:u:escaped star",
]

QUESTIONS = [
    {"host": "h", "port": "5432", "dbname": "d", "user": "u"},
    {"host": "h", "port": "5433", "dbname": "d", "user": "u"},
    {"host": "h:x", "port": "5432", "dbname": "d", "user": "u"},
    {"host": "/run/pg", "port": "5432", "dbname": "d", "user": "u"},
    {"host": "localhost", "port": "5432", "dbname": "d", "user": "u"},
    {"host": "h", "hostaddr": "10.0.0.1", "port": "5432", "dbname": "d", "user": "u"},
    {"hostaddr": "10.0.0.1", "port": "5432", "dbname": "d", "user": "u"},
    {"host": "h", "port": "5432", "dbname": "d:e", "user": "u"},
    {"host": "h", "port": "5432", "dbname": "d", "user": "other"},
]


def quoted(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def passwords():
    surroundings({})
    dice = random.Random(3)
    texts = [line + "\n" for line in LINES]
    texts += ["\n".join(dice.sample(LINES, dice.randrange(2, 7))) + dice.choice(["", "\n", "\r\n"]) for _ in range(40)]
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pass")
        for text in texts:
            with open(path, "w", newline="") as file:
                file.write(text)
            os.chmod(path, 0o600)
            answers = []
            for question in QUESTIONS:
                pairs = {**question, "passfile": path}
                _, password = start(" ".join(f"{key}={quoted(value)}" for key, value in pairs.items()))
                answers.append(password)
            cases.append([text, answers])
    return cases


# -- values -------------------------------------------------------------------------------------------------------

JUDGED = {
    "sslmode": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full", "Require", "on", ""],
    "sslnegotiation": ["postgres", "direct", "DIRECT", "requiredirect"],
    "channel_binding": ["disable", "prefer", "require", "Require", "always"],
    "require_auth": [
        "none", "password", "md5", "scram-sha-256", "gss", "sspi", "md5,password", "!md5", "!md5,!password", "md5,!password",
        "md5,md5", "!md5,!md5", "md5,", ",md5", "MD5", " md5", "md5, password", "scram", "!", "",
    ],
    "sslcertmode": ["disable", "allow", "Allow", "never"],
    "gssencmode": ["disable", "prefer", "Disable", "off"],
    "ssl_min_protocol_version": ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "tlsv1.2", "TLS1.2", "SSLv3"],
    "ssl_max_protocol_version": ["TLSv1.2", "TLSv1.3", "tlsv1.3", "TLSv1.4"],
    "port": ["1", "65535", "0", "65536", "-1", "x", "5432x", " 5432 ", "+5432", "05432"],
    "client_encoding": ["UTF8"],
    "target_session_attrs": ["any", "read-writer", "Any"],
    "load_balance_hosts": ["disable", "Disable", "yes"],
    "sslsni": ["0", "1"],
}

COMBINATIONS = [
    "host=/a,/b port=1,2", "host=/a,/b port=1,2,3", "host=a,b hostaddr=127.0.0.1 port=1",
    "host=a,b hostaddr=127.0.0.1,127.0.0.1 port=1", "host=/a,/b port=1", "host=/a,/b,/c port=1,2", "host=/a,/b port=1,", "sslmode=prefer sslnegotiation=direct", "sslmode=require sslnegotiation=direct",
    "sslrootcert=system sslmode=require", "sslrootcert=system sslmode=verify-full", "sslrootcert=system",
    "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
    "ssl_min_protocol_version=TLSv1.2 ssl_max_protocol_version=TLSv1.2",
    "sslnegotiation=direct", "sslnegotiation=direct sslmode=verify-ca", "sslcertmode=disable sslmode=require",
]


def judgements():
    surroundings({"HOME": "/nowhere"})
    texts = [f"{key}={quoted(value)}" for key, values_ in JUDGED.items() for value in values_] + COMBINATIONS
    cases = []
    for text in texts:
        # A socket that does not exist: whatever passes the checks fails at once and elsewhere.
        base = "" if "host" in text else "host=/nowhere "
        problem, _ = start(f"{base}user=u {text}")
        cases.append([text, problem is None])
    return cases


if __name__ == "__main__":
    document = {
        "about": "Made by settings.py beside this file; null = refused.",
        "libpq": LIBPQ.PQlibVersion(),
        "strings": strings(400),
        "environments": environments(),
        "services": services(),
        "questions": QUESTIONS,
        "passwords": passwords(),
        "judgements": judgements(),
    }
    print("{")
    for place, (key, value) in enumerate(document.items()):
        end = "" if place == len(document) - 1 else ","
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(item, ensure_ascii=False, sort_keys=True) for item in value)
            print(f' "{key}": [\n  {lines}\n ]{end}')
        else:
            print(f' "{key}": {json.dumps(value)}{end}')
    print("}")
