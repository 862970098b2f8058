//! Walks over trees that try to lead out.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicU32;

use super::*;

/// A directory with a root directory and a secret beside it.
struct Tree {
    top: PathBuf,
}

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let top = std::env::temp_dir().join(format!("ferry-fs-{}-{}", unique.0, unique.1));
        fs::create_dir_all(top.join("root/dir/sub")).unwrap();
        fs::create_dir_all(top.join("outside/inner")).unwrap();
        fs::write(top.join("secret"), "secret").unwrap();
        fs::write(top.join("outside/file"), "bound").unwrap();
        fs::write(top.join("root/file"), "inside").unwrap();
        fs::write(top.join("root/dir/sub/file"), "deep").unwrap();
        let tree = Self { top: top.canonicalize().unwrap() };
        let link = |text: &str, name: &str| symlink(text, tree.root().join(name)).unwrap();
        link("/", "to-root");
        link("/secret", "absolute");
        link("../../../../../../../../secret", "dots");
        link("loop-b", "loop-a");
        link("loop-a", "loop-b");
        link("dir", "to-dir");
        link("/dir/sub/", "to-sub");
        link("file", "to-file");
        link("new", "dangling");
        link("/nowhere/new", "lost");
        link("../mnt/..", "dir/through-mount");
        link(tree.top.join("secret").to_str().unwrap(), "host-path");
        tree
    }

    fn root(&self) -> PathBuf {
        self.top.join("root")
    }

    fn context(&self) -> FsContext {
        let config = Config {
            root: Some(self.root()),
            binds: vec![
                (self.top.join("outside"), "/mnt".into()),
                (self.top.join("outside/file"), "/to-dir/bound".into()),
            ],
            ..Config::default()
        };
        let namespace = Namespace::from_config(&config, &OwnFds::new()).unwrap().unwrap();
        let mode = Lock::new(Rank::Fs, Mode::Root(Arc::new(namespace)));
        FsContext { mode, searched: None, is_announced: AtomicBool::new(false) }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

fn place(fs: &FsContext, dirfd: i32, path: &str, last: Last) -> Result<Place, Errno> {
    fs.place_to_read(&View::nobody(), dirfd, &CString::new(path).unwrap(), last)
}

/// What is in the file to which the path leads, or the error on the way or of opening it.
fn content_from(fs: &FsContext, dirfd: i32, path: &str) -> Result<String, Errno> {
    let place = place(fs, dirfd, path, Last::Follow)?;
    let fd = open_raw(place.dirfd(), &place.name, libc::O_RDONLY | place.open_flag(), 0)?;
    std::io::read_to_string(File::from(fd)).map_err(|e| Errno::new(e.raw_os_error().unwrap_or(0)))
}

fn check(path: &str, expected: Result<&str, Errno>) {
    let tree = Tree::new();
    let found = content_from(&tree.context(), libc::AT_FDCWD, path);
    assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{path}");
}

#[test]
fn nothing_leads_out() {
    check("/secret", Err(Errno::ENOENT));
    check("/../secret", Err(Errno::ENOENT));
    check("/dir/../../../secret", Err(Errno::ENOENT));
    check("/absolute", Err(Errno::ENOENT));
    check("/dots", Err(Errno::ENOENT));
    check("/host-path", Err(Errno::ENOENT));
    check("/to-root/to-root/../secret", Err(Errno::ENOENT));
    check("/to-root/../../file", Ok("inside"));
    check("/mnt/../secret", Err(Errno::ENOENT));
    check("/mnt/inner/../../../secret", Err(Errno::ENOENT));
    check("/dir/through-mount/secret", Err(Errno::ENOENT));
    check("/dir/through-mount/file", Ok("inside"));
}

#[test]
fn links_lead_where_they_say() {
    check("/to-file", Ok("inside"));
    check("/to-dir/sub/file", Ok("deep"));
    check("/to-sub/file", Ok("deep"));
    check("//to-root///dir/./sub/../sub/file", Ok("deep"));
    check("/loop-a", Err(Errno::ELOOP));
    check("/loop-a/x", Err(Errno::ELOOP));
    check("/file/x", Err(Errno::ENOTDIR));
    check("/to-file/x", Err(Errno::ENOTDIR));
    check("/file/", Err(Errno::ENOTDIR));
    check("/to-file/", Err(Errno::ENOTDIR));
    check("/to-dir/", Err(Errno::EISDIR));
    check("/none/x", Err(Errno::ENOENT));
    check("", Err(Errno::ENOENT));
}

#[test]
fn binds_are_seen_where_they_are_mounted() {
    check("/mnt/file", Ok("bound"));
    check("/mnt/inner/../file", Ok("bound"));
    check("/mnt/../file", Ok("inside"));
    check("/dir/bound", Ok("bound"));
    check("/to-dir/bound", Ok("bound"));
    check("/dir/bound/x", Err(Errno::ENOTDIR));
    let tree = Tree::new();
    let fs = tree.context();
    let mount = place(&fs, libc::AT_FDCWD, "/to-root/mnt", Last::Entry).unwrap();
    assert_eq!(mount.not_mounted().unwrap_err(), Errno::EBUSY);
}

#[test]
fn relative_paths_start_from_the_descriptor() {
    let tree = Tree::new();
    let fs = tree.context();
    let open = |path: PathBuf| File::open(path).unwrap();
    let sub = open(tree.root().join("dir/sub"));
    let content = |fd: &File, path: &str| content_from(&fs, fd.as_raw_fd(), path);
    assert_eq!(content(&sub, "file").as_deref(), Ok("deep"));
    assert_eq!(content(&sub, "../../file").as_deref(), Ok("inside"));
    assert_eq!(content(&sub, "../../../../secret"), Err(Errno::ENOENT));
    assert_eq!(content(&sub, "../../mnt/file").as_deref(), Ok("bound"));
    assert_eq!(content(&sub, "/file").as_deref(), Ok("inside"));
    let mount = open(tree.top.join("outside"));
    assert_eq!(content(&mount, "../file").as_deref(), Ok("inside"));
    let outside = open(tree.top.clone());
    assert_eq!(content(&outside, "secret").as_deref(), Ok("secret"), "it was given that directory");
    assert_eq!(content(&outside, "../etc/passwd"), Err(Errno::ENOENT), "but no way up from there");
}

#[test]
fn a_directory_that_moves_meanwhile_leads_to_an_error() {
    let tree = Tree::new();
    let fs = tree.context();
    let sub = File::open(tree.root().join("dir/sub")).unwrap();
    fs::rename(tree.root().join("dir/sub"), tree.top.join("moved")).unwrap();
    assert_eq!(content_from(&fs, sub.as_raw_fd(), "../secret"), Err(Errno::ENOENT));
}

#[test]
fn files_are_made_where_dangling_links_lead() {
    let tree = Tree::new();
    let fs = tree.context();
    let create = |path| {
        let place = place(&fs, libc::AT_FDCWD, path, Last::Follow)?;
        let flags = libc::O_CREAT | libc::O_WRONLY | place.open_flag();
        open_raw(place.dirfd(), &place.name, flags, 0o600).map(drop)
    };
    assert_eq!(create("/dangling"), Ok(()));
    assert!(tree.root().join("new").exists());
    assert_eq!(create("/lost"), Err(Errno::ENOENT));
    assert_eq!(create("/absolute"), Ok(()));
    assert!(tree.root().join("secret").exists());
    assert_eq!(fs::read_to_string(tree.top.join("secret")).unwrap(), "secret");
    assert_eq!(create("/fresh/"), Err(Errno::EISDIR));
}

#[test]
fn entries_are_not_followed() {
    let tree = Tree::new();
    let fs = tree.context();
    let name = |path, last| {
        let place = place(&fs, libc::AT_FDCWD, path, last).unwrap();
        (place.name.into_string().unwrap(), place.path.map(|p| String::from_utf8(p).unwrap()))
    };
    let some = |name: &str, path: &str| (name.to_owned(), Some(path.to_owned()));
    assert_eq!(name("/to-file", Last::NoFollow), some("to-file", "/to-file"));
    assert_eq!(name("/to-file", Last::Follow), some("file", "/file"));
    assert_eq!(name("/to-dir/", Last::NoFollow), some(".", "/dir"));
    assert_eq!(name("/to-dir/x/", Last::Entry), some("x/", "/dir/x"));
    assert_eq!(name("/to-dir/..", Last::Follow), some(".", ""));
    assert_eq!(name("/", Last::Entry), some(".", ""));
}

#[test]
fn proc_leads_where_the_guest_may_go() {
    let tree = Tree::new();
    let fs = tree.context();
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/proc/self/root/file").as_deref(), Ok("inside"));
    let other = format!("/proc/{}/root/file", std::os::unix::process::parent_id());
    assert_eq!(content_from(&fs, libc::AT_FDCWD, &other).as_deref(), Ok("inside"));
    let file = File::open(tree.root().join("file")).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    assert_eq!(content_from(&fs, libc::AT_FDCWD, &path).as_deref(), Ok("inside"));
    let dir = File::open(tree.root().join("dir")).unwrap();
    let path = format!("/proc/self/fd/{}/../file", dir.as_raw_fd());
    assert_eq!(content_from(&fs, libc::AT_FDCWD, &path).as_deref(), Ok("inside"));
    let maps = place(&fs, libc::AT_FDCWD, "/proc/self/maps", Last::Follow).unwrap();
    let content = maps.path.as_deref().and_then(proc::content_at);
    assert_eq!(content, Some(proc::Content::Maps));
}

#[test]
fn a_second_root_lies_in_the_first() {
    let tree = Tree::new();
    let fs = tree.context();
    fs.change_root(&place(&fs, libc::AT_FDCWD, "/dir", Last::Follow).unwrap(), None).unwrap();
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/../sub/file").as_deref(), Ok("deep"));
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/bound").as_deref(), Ok("bound"));
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/../file"), Err(Errno::ENOENT));
}

#[test]
fn a_sysroot_comes_before_the_host() {
    let tree = Tree::new();
    let config = Config { sysroot: Some(tree.root()), ..Config::default() };
    let fs = FsContext::new(&config, &OwnFds::new()).unwrap();
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/file").as_deref(), Ok("inside"));
    assert_eq!(content_from(&fs, libc::AT_FDCWD, "/to-sub/file").as_deref(), Ok("deep"));
    let beside = tree.top.join("secret");
    let beside = content_from(&fs, libc::AT_FDCWD, beside.to_str().unwrap());
    assert_eq!(beside.as_deref(), Ok("secret"));
    let root = place(&fs, libc::AT_FDCWD, "/", Last::Follow).unwrap();
    assert_eq!(root.links, Links::LeftToHost);
}

#[test]
fn paths_without_links_can_be_opened_at_once() {
    let tree = Tree::new();
    let fs = tree.context();
    let direct = |path: &str| fs.direct(path.as_bytes());
    let text = |path: &str| {
        let (dir, path) = direct(path)?;
        let file = open_without_links(dir, &path, libc::O_RDONLY).ok()?;
        std::io::read_to_string(File::from(file)).ok()
    };
    assert_eq!(text("/dir//sub/file").as_deref(), Some("deep"));
    assert_eq!(text("/mnt/file").as_deref(), Some("bound"));
    assert_eq!(direct("/dir/").unwrap().1.as_c_str(), c"./dir/");
    for other in ["/", "dir", "/dir/../file", "/./file", "/proc/self/maps", "/mnt", "/dir/bound"] {
        assert_eq!(direct(other), None, "{other}");
    }
}
