"""write FOLDER LOG SEED: works until the file system is gone; notes each step before it begins, and when it is durable.
check FOLDER LOG [BYTES]: is everything there that the notes (that many bytes of them) promise?"""
import hashlib, json, os, random, sys

def noise(seed, n):
    block = hashlib.shake_128(str(seed).encode()).digest(min(n, 4096))
    return (block * (n // 4096 + 1))[:n]

def changed(old, step):
    """The bytes of a file after a step; None: there is no such file."""
    kind, data = step['kind'], noise(step['seed'], step['len'])
    if kind == 'new':
        return data
    if kind == 'append':
        return old + data
    if kind == 'inside':
        return old[:step['off']] + data + old[step['off'] + len(data):]
    if kind == 'cut':
        return old[:step['len']]
    return None

def do(folder, step, old, sync):
    path = os.path.join(folder, step['name'])
    data = noise(step['seed'], step['len'])
    kind = step['kind']
    if kind == 'remove':
        os.unlink(path)
    elif kind == 'cut':
        fd = os.open(path, os.O_RDWR)
        os.ftruncate(fd, step['len'])
        if sync: os.fsync(fd)
        os.close(fd)
    elif kind == 'new':
        with open(path + '.new', 'wb', buffering=0) as f:
            for at in range(0, len(data), 50000):
                f.write(data[at:at + 50000])
            if sync: os.fsync(f.fileno())
        os.rename(path + '.new', path)
    else:
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, data, len(old) if kind == 'append' else step['off'])
        if sync: os.fsync(fd)
        os.close(fd)
    if sync and kind in ('new', 'remove'):
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

def write(folder, log, seed):
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    fd = os.open(os.path.dirname(folder), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    files = {}
    with open(log, 'w') as notes:
        for n in range(1000000):
            name = 'f%d' % rng.randrange(12)
            old = files.get(name)
            kind = 'new' if old is None else rng.choice(['new', 'append', 'append', 'inside', 'cut', 'remove'])
            length = rng.choice([rng.randrange(1, 3000), rng.randrange(1, 60000), rng.randrange(1, 60000) if kind != 'new' else rng.randrange(1, 400000)])
            step = {'name': name, 'kind': kind, 'seed': '%s/%d' % (seed, n), 'len': length, 'off': 0}
            if kind == 'inside':
                step['off'] = rng.randrange(len(old) + 1)
            if kind == 'cut':
                step['len'] = rng.randrange(len(old) + 1)
            sync = rng.random() < 0.6
            print(json.dumps(step), file=notes, flush=True)
            do(folder, step, old, sync)
            if sync:
                print(json.dumps({'done': name}), file=notes, flush=True)
            now = changed(old, step)
            if now is None: del files[name]
            else: files[name] = now

def whole_or_shorter(got, states):
    if got in states:
        return True
    # of a file that was being written: the front of it, no shorter than what was synced; of one that was made since then, any of it
    least = 0 if None in states else min(len(s) for s in states)
    return got is not None and len(got) >= least and any(s is not None and s.startswith(got) for s in states)

def partly(got, states, steps):
    """The kernel cuts a write that does not begin at a page in two, and the daemon may have been killed between them."""
    for old, step in zip(states, steps):
        if got is None or old is None or step['kind'] not in ('append', 'inside'):
            continue
        off = len(old) if step['kind'] == 'append' else step['off']
        data, first = noise(step['seed'], step['len']), 4096 - off % 4096
        if any(got == old[:off] + data[:n] + old[off + n:] for n in range(first, len(data), 4096)):
            return True
    return False

def check(folder, log, believed):
    states, promised, at = {}, 0, 0   # name: states since the last fsync, the synced one first
    steps = {}                        # name: the steps between them
    try:
        lines = open(log).read().split('\n')
    except FileNotFoundError:
        return 0
    for line in lines[:-1]:
        step = json.loads(line)
        at += len(line) + 1
        if 'done' in step:
            if at > believed:
                continue
            states[step['done']] = states[step['done']][-1:]
            steps[step['done']] = []
            promised += 1
        else:
            past = states.setdefault(step['name'], [None])
            past.append(changed(past[-1], step))
            steps.setdefault(step['name'], []).append(step)
    for name, past in states.items():
        path = os.path.join(folder, name)
        got = open(path, 'rb').read() if os.path.exists(path) else None
        if not whole_or_shorter(got, past) and not partly(got, past, steps[name]):
            print('%s: %s bytes; may be %s' % (path, None if got is None else len(got), [None if s is None else len(s) for s in past]))
            sys.exit(1)
    print(promised, len(states))

if sys.argv[1] == 'write':
    try:
        write(sys.argv[2], sys.argv[3], sys.argv[4])
    except OSError:
        pass
else:
    check(sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 1 << 60)
